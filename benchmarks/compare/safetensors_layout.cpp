#include <fstream>

#include <nlohmann/json.hpp>

#include "contenders.hpp"
#include "disk.hpp"

namespace compare {

namespace {

using nlohmann::json;

/// Eight bytes of length, a JSON header of that length, the tensors' bytes.
void save(workload& w, const std::string& path) {
  json header;
  std::uint64_t at = 0;
  for (const tensor& t : w.tensors()) {
    header[t.name] = {{"dtype", t.dtype == "float32" ? "F32" : t.dtype == "float64" ? "F64"
                                                                                    : "I64"},
                      {"shape", t.shape},
                      {"data_offsets", {at, at + t.bytes}}};
    at += t.bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  std::ofstream out(path, std::ios::binary);
  out.exceptions(std::ios::badbit | std::ios::failbit);
  out.write(reinterpret_cast<const char*>(&length), sizeof length);
  out << text;
  for (const tensor& t : w.tensors()) out.write(reinterpret_cast<const char*>(t.memory.get()), static_cast<std::streamsize>(t.bytes));
}

void load(workload& w, const std::string& path) {
  const disk_file in(path, O_RDONLY);
  std::uint64_t length = 0;
  in.read(0, std::as_writable_bytes(std::span(&length, 1)));
  std::string text(length, '\0');
  in.read(sizeof length, std::as_writable_bytes(std::span(text)));
  const json header = json::parse(text);
  for (const tensor& t : w.tensors()) in.read(sizeof length + length + header.at(t.name).at("data_offsets").at(0).get<std::uint64_t>(), t.content());
}

}  // namespace

void add_safetensors_layout(worker& to) {
  to.add_save("safetensors layout in C++", save);
  to.add_load("safetensors layout in C++, load", load);
}

}  // namespace compare
