#pragma once
#include <string>
#include <vector>

#include <holdfast/checkpoint/directory.hpp>

namespace tool {

/// Notes the damage of those whose index, or also content, is not what was saved. Of those that were sealed with a key nothing is known.
void find_damage(std::vector<holdfast::checkpoint_info>& all, bool content);

/// Its damage without the name of the file.
std::string reason_alone(const holdfast::checkpoint_info& c);

}  // namespace tool
