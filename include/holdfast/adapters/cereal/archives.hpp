#pragma once
/// The two archives, and what cereal has to know of them.
#include <string>
#include <type_traits>

#include <cereal/cereal.hpp>

#include <holdfast/adapters/cereal/loader.hpp>
#include <holdfast/adapters/cereal/saver.hpp>

namespace holdfast::detail {

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_saver& archive, const cereal::NameValuePair<T>& pair) { archive.own(pair); }
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_loader& archive, cereal::NameValuePair<T>& pair) { archive.own(pair); }
template <class T>
  requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_saver& archive, const T& value) { archive.own(value); }
template <class T>
  requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_loader& archive, T& value) { archive.own(value); }
inline void CEREAL_SAVE_FUNCTION_NAME(cereal_saver& archive, const std::string& value) { archive.own(value); }
inline void CEREAL_LOAD_FUNCTION_NAME(cereal_loader& archive, std::string& value) { archive.own(value); }
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_saver& archive, const cereal::SizeTag<T>& tag) { archive(tag); }
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_loader& archive, cereal::SizeTag<T>& tag) { archive(tag); }
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_saver& archive, const cereal::BinaryData<T>& data) { archive(data); }
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_loader& archive, cereal::BinaryData<T>& data) { archive(data); }

}  // namespace holdfast::detail

CEREAL_SETUP_ARCHIVE_TRAITS(holdfast::detail::cereal_loader, holdfast::detail::cereal_saver)
CEREAL_REGISTER_ARCHIVE(holdfast::detail::cereal_saver)
CEREAL_REGISTER_ARCHIVE(holdfast::detail::cereal_loader)
