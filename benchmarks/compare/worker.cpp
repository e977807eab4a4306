#include "worker.hpp"

#include <algorithm>
#include <exception>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include "disk.hpp"

namespace compare {

void worker::add_save(std::string name, action save) {
  add(name + ", no fsync", [save](workload& tensors, const std::string& path) { return seconds([&] { save(tensors, path); }); });
  add(std::move(name), [save](workload& tensors, const std::string& path) {
    return seconds([&] {
      save(tensors, path);
      disk_file(path, O_RDONLY).sync();
    });
  });
}

void worker::add_load(std::string name, action load) {
  add(std::move(name), [load = std::move(load)](workload& tensors, const std::string& path) {
    tensors.spoil();
    const double result = seconds([&] { load(tensors, path); });
    tensors.check();
    return result;
  });
}

std::string worker::answer(const std::vector<std::string>& words) {
  std::ostringstream out;
  out << "ok" << std::setprecision(9);
  if (words[0] == "contenders") {
    for (const auto& [name, run] : contenders_) out << '\t' << name;
  } else if (words[0] == "versions") {
    for (const std::string& v : versions_) out << '\t' << v;
  } else if (words[0] == "workload" && words.size() == 2) {
    if (tensors_) throw std::runtime_error("there are tensors already, and contenders may hold on to them");
    tensors_ = std::make_unique<workload>(words[1]);
    out << '\t' << tensors_->bytes();
  } else if (words[0] == "run" && words.size() == 3 && tensors_) {
    const auto at = contenders_.find(words[1]);
    if (at == contenders_.end()) throw std::runtime_error("no contender of this name");
    out << '\t' << at->second(*tensors_, words[2]);
  } else {
    throw std::runtime_error("no command, or not now: " + words[0]);
  }
  return out.str();
}

int worker::serve() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; std::getline(in, word, '\t');) words.push_back(word);
    std::string reply;
    try {
      reply = answer(words.empty() ? std::vector<std::string>{""} : words);
    } catch (const std::exception& e) {
      reply = "error\t" + std::string(e.what());
      std::replace(reply.begin(), reply.end(), '\n', ' ');
    }
    std::cout << reply << std::endl;
  }
  return 0;
}

}  // namespace compare
