// Links when no definition in the headers is emitted twice; passes when what one unit saved, the other restores.
#include <filesystem>
#include <iostream>
#include <random>

#include "odr.hpp"

int main() {
  const auto file = std::filesystem::temp_directory_path() / "holdfast-odr.h5";
  odr::program saved{{1.5F, -2.0F}, {{"loss", 0.25}}, std::mt19937_64(7)}, restored;
  odr::save(file.string(), saved);
  odr::restore(file.string(), restored);
  std::filesystem::remove(file);
  if (restored == saved) return 0;
  std::cerr << "what the first unit saved is not what the second restored\n";
  return 1;
}
