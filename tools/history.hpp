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

/// Notes the damage of those whose index, or also content, is not what was saved. Of those that were sealed with a key nothing is known.
void find_damage(std::vector<holdfast::checkpoint_info>& all, bool content);

/// Its damage without the name of the file.
std::string reason_alone(const holdfast::checkpoint_info& c);

}  // namespace tool
