#pragma once
/// Binds something of every adapter in one program, included after all of them: see `adapters` in tests/compile_check.py.
#include <array>
#include <vector>

#include <holdfast/holdfast.hpp>

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
