#pragma once
#include <chrono>
#include <string>
#include <vector>

#include <holdfast/checkpoint/directory.hpp>

namespace tool {

/// Local time, as strftime writes it.
std::string time_text(std::chrono::system_clock::time_point t, const char* format);

/// `checkpoints_in`, of which there must be some.
std::vector<holdfast::checkpoint_info> checkpoints_of_run(const std::string& folder);

/// Notes the damage of those whose index, or also content, is not what was saved. Those that are `unverifiable` are left as they are.
void find_damage(std::vector<holdfast::checkpoint_info>& all, bool content, const holdfast::seal_key& key);

/// Whether there is no telling whether it is whole: it was sealed with a key, which is not here.
bool unverifiable(const holdfast::checkpoint_info& c, const holdfast::seal_key& key);

/// Its damage without the name of the file.
std::string reason_alone(const holdfast::checkpoint_info& c);

}  // namespace tool
