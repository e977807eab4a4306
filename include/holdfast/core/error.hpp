#pragma once
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace holdfast {

/// What every failure of the library is. The message holds the file, the path inside it, what was expected, what was
/// found and what to do, as far as each is known.
struct error : std::runtime_error {
  using runtime_error::runtime_error;
};

/// The operating system refused something: no such file, no permission, disk full, a failed `fsync`. `code()` is its
/// errno. A save that throws it has left the previous checkpoint as it was.
struct io_error : error {
  /// The message is followed by what the system says of the code.
  io_error(const std::string& message, std::error_code why) : error(message + ": " + why.message()), code_(why) {}
  /// The errno.
  const std::error_code& code() const noexcept { return code_; }

 private:
  std::error_code code_;
};

/// The file is not a checkpoint this library reads: not HDF5, truncated, unsealed, or of a newer format.
struct format_error : error {
  using error::error;
};

/// The file is a checkpoint whose bytes are not those that were saved: a digest differs.
struct integrity_error : error {
  using error::error;
};

/// One way in which a file and the program's state do not fit each other.
struct difference {
  /// Of what kind it is.
  enum class kind { missing,
                    unexpected,
                    dtype,
                    shape,
                    place,
                    identity,
                    aliasing,
                    structure };
  kind what;             ///< of what kind it is
  std::string path;      ///< as the program binds it
  std::string expected;  ///< by the program; empty where it says nothing
  std::string found;     ///< in the file; empty where there is nothing
  std::string advice;    ///< what to do; may be empty
};

/// The file is sound but does not fit the bound state. `differences()` holds all of them, not just the first; nothing
/// bound has been changed when it is thrown.
struct mismatch_error : error {
  using error::error;
  /// Of a file and all that differs; the message lists them.
  mismatch_error(std::string_view file, std::vector<difference> all) : error(describe(file, all)), all_(std::move(all)) {}
  /// All of them, in the order of the paths as bound.
  const std::vector<difference>& differences() const noexcept { return all_; }

 private:
  static std::string describe(std::string_view file, const std::vector<difference>& all) {
    std::string text(file);
    text += all.size() == 1 ? ": 1 difference" : ": " + std::to_string(all.size()) + " differences";
    text += " between the file and the program; nothing was restored";
    for (const difference& d : all) {
      text += "\n  /" + d.path + ": ";
      switch (d.what) {
        case difference::kind::missing: text += "expected " + d.expected + ", not in the file"; break;
        case difference::kind::unexpected: text += "found " + d.found + ", not bound by the program"; break;
        default: text += "expected " + d.expected + ", found " + d.found;
      }
      if (!d.advice.empty()) text += "; " + d.advice;
    }
    return text;
  }
  std::vector<difference> all_;
};

}  // namespace holdfast
