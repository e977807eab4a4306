#pragma once
/// What the commands share: opening, listing, formatting, errors.
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <holdfast/checkpoint/restore_options.hpp>
#include <holdfast/hdf5/reader.hpp>

namespace holdfast {
struct checkpoint_info;
}

namespace tool {

/// Exit statuses, as those of diff.
inline constexpr int fine = 0, different = 1, trouble = 2;

/// `path`, or the newest checkpoint that looks whole where that is a folder of them. Throws `holdfast::error` for a folder without.
std::string checkpoint_at(const std::string& path);

/// The checkpoints of a folder by ascending step, as their trailers describe them. Throws `holdfast::error` where there is no such folder.
std::vector<holdfast::checkpoint_info> checkpoints_in(const std::string& folder);

/// How a file was sealed.
enum class seal_kind { none,
                       plain,
                       keyed };
seal_kind seal_of(const std::string& path);

/// The environment variable that names it where --key-file does not.
inline constexpr const char* key_variable = "HOLDFAST_KEY_FILE";
/// The key that a file consists of. Throws `holdfast::error` for one that is too short, or no key, and `io_error`.
holdfast::seal_key key_in(const std::string& file);

/// Opens what `checkpoint_at` gives; with `trust::foreign` any HDF5 file, with a key only what was sealed with it.
std::unique_ptr<holdfast::hdf5::reader> open(const std::string& path, const holdfast::seal_key& key, holdfast::trust trusted = holdfast::trust::sealed_only, holdfast::io::storage* storage = nullptr);

/// Opens any HDF5 file through libhdf5, a sealed one too. With a key its digests are those of the key.
std::unique_ptr<holdfast::hdf5::reader> open_as_hdf5(const std::string& path, const holdfast::seal_key& key = {}, holdfast::io::storage* storage = nullptr);

/// For each path of a tensor the first one, by path, of all that name the same data.
std::map<std::string_view, std::string_view> first_names(const holdfast::hdf5::reader& in);

/// Compares the digests of these entries with the content, and where there is no digest finds at least whether it can be read.
void verify_content(const holdfast::hdf5::reader& from, const std::vector<const holdfast::entry*>& entries);
/// The same for the whole file, its metadata included.
void verify_all(const holdfast::hdf5::reader& from);

/// Bytes that `verify_all` reads of a file's content: those of its tensors, once each.
std::uint64_t content_bytes(const holdfast::hdf5::reader& from);

/// "1.5 GiB"
std::string readable(std::uint64_t bytes);
/// "1 tensor", "20,000 tensors"
std::string counted(std::uint64_t n, std::string_view noun);
/// A metric as short as it can be told from its neighbours.
std::string number(double value);
/// Text of a file as a terminal may have it: control characters are written %XX, as `holdfast::encode_component` does.
std::string shown(std::string_view text);
/// "float32[3]", "= /model/weight", "absent", "group"
std::string kind_text(const holdfast::hdf5::reader& in, const holdfast::entry& e);
nlohmann::ordered_json kind_json(const holdfast::hdf5::reader& in, const holdfast::entry& e);

/// Columns side by side, two spaces apart, without spaces at the end of a line; a column that begins with '>' is set to the right.
std::string aligned(const std::vector<std::vector<std::string>>& rows, std::string_view columns);

void print(std::string_view text);
/// Throws `io_error` if not all that was printed could be written.
void finish_output();
void print_json(const nlohmann::ordered_json& value);

/// The message of an error in one line, in the words of the command line: "FILE: what; what to do".
std::string one_line(const std::exception& e);
/// Prints it to stderr.
void complain(const std::exception& e);

/// What switches colours on where the stream is a terminal and NO_COLOR is not set; empty otherwise.
struct palette {
  const char *bold = "", *dim = "", *red = "", *green = "", *plain = "";
};
const palette& out_colours();
const palette& err_colours();

}  // namespace tool
