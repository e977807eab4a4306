# The version is that of the headers beside this file. It serves who asks for the same major version, before 1.0 the same minor one,
# that is no newer than it (docs/versioning.md); or for a range that it is in.
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../../../include/holdfast/core/version.hpp" PACKAGE_VERSION REGEX "^#define HOLDFAST_VERSION \"")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" PACKAGE_VERSION "${PACKAGE_VERSION}")
set(PACKAGE_VERSION_COMPATIBLE FALSE)
if(PACKAGE_FIND_VERSION_RANGE)
  if(PACKAGE_VERSION VERSION_GREATER_EQUAL PACKAGE_FIND_VERSION_MIN
      AND (PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION_MAX
        OR (PACKAGE_FIND_VERSION_RANGE_MAX STREQUAL "INCLUDE" AND PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION_MAX)))
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
  endif()
else()
  string(REGEX MATCH "^(0\\.[0-9]+|[1-9][0-9]*)" holdfast_promised "${PACKAGE_VERSION}")
  string(REGEX MATCH "^(0\\.[0-9]+|[1-9][0-9]*)" holdfast_asked "${PACKAGE_FIND_VERSION}")
  if(holdfast_asked STREQUAL holdfast_promised AND PACKAGE_VERSION VERSION_GREATER_EQUAL PACKAGE_FIND_VERSION)
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
    if(PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION)
      set(PACKAGE_VERSION_EXACT TRUE)
    endif()
  endif()
endif()
