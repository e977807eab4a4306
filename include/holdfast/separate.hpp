#pragma once
/// In place of holdfast.hpp, in programs of several files: what does not depend on the program's types is compiled in one of them, which
/// defines HOLDFAST_SEPARATE_HERE before it includes this header, and not in each. All files of a program may mix both headers.
#include <holdfast/holdfast.hpp>

/// @cond
#ifdef HOLDFAST_SEPARATE_HERE
#define HOLDFAST_SEPARATE template
#else
#define HOLDFAST_SEPARATE extern template
#endif

namespace holdfast {

HOLDFAST_SEPARATE class basic_state<void>;
HOLDFAST_SEPARATE class basic_saver<void>;
HOLDFAST_SEPARATE class basic_checkpoint_file<void>;
HOLDFAST_SEPARATE class basic_checkpoint_directory<void>;
HOLDFAST_SEPARATE restore_report restore<void>(const std::string&, state&, const restore_options&);
HOLDFAST_SEPARATE plan plan_restore<void>(const std::string&, const state&, const restore_options&);
HOLDFAST_SEPARATE void save<void>(const std::string&, const state&, const save_options&);
HOLDFAST_SEPARATE pending_save save_async<void>(const std::string&, const state&, const save_options&);

namespace detail {
HOLDFAST_SEPARATE class basic_manifest<void>;
HOLDFAST_SEPARATE class basic_plan_walk<void>;
HOLDFAST_SEPARATE class basic_apply_walk<void>;
HOLDFAST_SEPARATE class basic_selection<void>;
HOLDFAST_SEPARATE class basic_snapshot<void>;
HOLDFAST_SEPARATE class basic_transfers<void>;
HOLDFAST_SEPARATE restore_report restore_from<void>(const hdf5::reader&, const basic_selection<void>&, state&, const restore_options&);
HOLDFAST_SEPARATE std::unique_ptr<hdf5::reader> open_reader<void>(const std::string&, trust, io::storage*, const seal_key&, bool);
}  // namespace detail

namespace hdf5 {
HOLDFAST_SEPARATE class basic_reader<void>;
HOLDFAST_SEPARATE class basic_sealed_reader<void>;
HOLDFAST_SEPARATE class basic_foreign_reader<void>;
namespace detail {
HOLDFAST_SEPARATE class basic_skeleton<void>;
}  // namespace detail
}  // namespace hdf5

namespace io {
HOLDFAST_SEPARATE class basic_durable_file<void>;
HOLDFAST_SEPARATE class basic_overlapped_writer<void>;
HOLDFAST_SEPARATE class basic_posix_storage<void>;
namespace detail {
HOLDFAST_SEPARATE class basic_posix_file<void>;
}  // namespace detail
}  // namespace io

}  // namespace holdfast

#undef HOLDFAST_SEPARATE
/// @endcond
