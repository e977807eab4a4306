#pragma once
/// Binds something of every adapter in one program, included after all of them: see `adapters` in tests/compile_check.py.
#include <array>
#include <memory>
#include <type_traits>
#include <vector>

#include <holdfast/separate.hpp>

#ifdef WITH_CEREAL
#ifdef WITH_ARMADILLO
namespace cereal {
/// As mlpack has it: element by element. The traits of the Armadillo adapter come first.
template <class Archive, class T>
void save(Archive& archive, const arma::Mat<T>& m) {
  static_assert(!std::is_same_v<Archive, holdfast::cereal_output_archive>);
  for (const T& x : m) archive(x);
}
template <class Archive, class T>
void load(Archive& archive, arma::Mat<T>& m) {
  static_assert(!std::is_same_v<Archive, holdfast::cereal_input_archive>);
  for (T& x : m) archive(x);
}
}  // namespace cereal
#endif
struct cereal_layer {
  std::vector<float> weight;
  std::shared_ptr<cereal_layer> next;
#ifdef WITH_ARMADILLO
  arma::fmat matrix;
#endif
#ifdef WITH_EIGEN
  Eigen::MatrixXd eigen;
#endif
  virtual ~cereal_layer() = default;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::make_nvp("weight", weight), cereal::make_nvp("next", next));
#ifdef WITH_ARMADILLO
    archive(cereal::make_nvp("matrix", matrix));
#endif
#ifdef WITH_EIGEN
    archive(cereal::make_nvp("eigen", eigen));
#endif
  }
};
CEREAL_REGISTER_TYPE(cereal_layer)
#endif

inline void bind_something_of_each(holdfast::state& s) {
  static std::vector<float> own(6);
  s.bind("own", own);
#ifdef WITH_ARMADILLO
  static arma::fmat armadillo_matrix;
  static arma::vec::fixed<3> armadillo_fixed;
  static arma::field<arma::cube> armadillo_field;
  s.bind("armadillo/matrix", armadillo_matrix).bind("armadillo/fixed", armadillo_fixed).bind("armadillo/field", armadillo_field);
  s.bind("armadillo/generator", holdfast::armadillo_generator());
#endif
#ifdef WITH_CEREAL
  static std::shared_ptr<cereal_layer> cereal_layers;
  s.bind("cereal", cereal_layers);
#endif
#ifdef WITH_EIGEN
  static Eigen::MatrixXf eigen_matrix;
  static Eigen::Array3d eigen_array;
  s.bind("eigen/matrix", eigen_matrix).bind("eigen/array", eigen_array).bind("eigen/map", Eigen::Map<Eigen::MatrixXf>(own.data(), 2, 3));
#endif
#ifdef WITH_EIGEN_TENSOR
  static Eigen::Tensor<float, 3> eigen_tensor;
  s.bind("eigen/tensor", eigen_tensor);
#endif
#ifdef WITH_NPZ
  holdfast::import_npz("unused.npz", s);
#endif
#ifdef WITH_OPENSSL
  holdfast::save("unused", s, {.key = holdfast::hmac_sha256("0123456789abcdef")});
#endif
#ifdef WITH_SAFETENSORS
  holdfast::import_safetensors("unused.safetensors", s);
  holdfast::export_safetensors(s, "unused.safetensors");
#endif
#ifdef WITH_TORCH
  static torch::Tensor torch_tensor;
  s.bind("torch/tensor", torch_tensor).bind("torch/generator", holdfast::default_generator());
#endif
#ifdef WITH_XTENSOR
  static xt::xarray<float> xtensor_array;
  static xt::xtensor<float, 2> xtensor_matrix;
  static xt::xtensor_fixed<float, xt::xshape<2, 3>> xtensor_fixed;
  s.bind("xtensor/array", xtensor_array).bind("xtensor/matrix", xtensor_matrix).bind("xtensor/fixed", xtensor_fixed);
  s.bind("xtensor/adapted", xt::adapt(own, std::array<std::size_t, 2>{2, 3}));
#endif
  holdfast::restore("unused", s);
}
