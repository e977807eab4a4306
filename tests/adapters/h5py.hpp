#pragma once
/// What a reader that we did not write finds in a file.
#include <cstdlib>
#include <string>

/// Whether a Python expression about `f`, the file opened by h5py, is true; quotes in it are single ones. `np` is numpy.
inline bool true_in_h5py(const std::string& path, const std::string& expression) {
  return std::system(("/usr/bin/python3 -c \"import h5py, numpy as np; f = h5py.File('" + path + "', 'r'); assert " + expression + "\"").c_str()) == 0;
}
