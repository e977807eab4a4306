// A tensor and the handful of operations the examples train with: single thread, every sum in a fixed order, so that
// the same state always leads to the same bits.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>

namespace example {

/// A dense array in C order. A weight is [out, in], as in PyTorch; a batch is [images, features].
template <class T>
struct basic_tensor {
  std::vector<std::int64_t> shape{0};
  std::vector<T> data;

  basic_tensor() = default;
  basic_tensor(std::initializer_list<std::int64_t> extents) : shape(extents) {
    std::size_t elements = 1;
    for (std::int64_t n : extents) elements *= static_cast<std::size_t>(n);
    data.resize(elements);
  }
  std::size_t rows() const { return static_cast<std::size_t>(shape.front()); }
  std::size_t cols() const { return static_cast<std::size_t>(shape.back()); }
  T* row(std::size_t i) { return data.data() + i * cols(); }
  const T* row(std::size_t i) const { return data.data() + i * cols(); }
};
using tensor = basic_tensor<float>;

/// What an optimizer works on. The name is the key of the parameter's state in the checkpoint.
struct parameter {
  std::string name;
  tensor* value;
  tensor* gradient;
};

inline tensor zeros_like(const tensor& t) {
  tensor zeros = t;
  std::fill(zeros.data.begin(), zeros.data.end(), 0.0f);
  return zeros;
}

/// U(-1/sqrt(fan_in), 1/sqrt(fan_in)), which is PyTorch's default for its linear and recurrent layers.
inline void fill_uniform(tensor& t, std::int64_t fan_in, std::mt19937_64& engine) {
  const float bound = 1.0f / std::sqrt(static_cast<float>(fan_in));
  std::uniform_real_distribution<float> draw(-bound, bound);
  for (float& x : t.data) x = draw(engine);
}

/// Eight partial sums, which the compiler may keep in vector registers, added up in a fixed order.
inline float dot(const float* a, const float* b, std::size_t n) {
  float lane[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (std::size_t j = 0; j < 8; ++j) lane[j] += a[i + j] * b[i + j];
  for (; i < n; ++i) lane[0] += a[i] * b[i];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

/// y += a * x, in blocks for the same reason
inline void axpy(float a, const float* __restrict x, float* __restrict y, std::size_t n) {
  const std::size_t blocks = n / 8;
  for (std::size_t i = 0; i < blocks * 8; i += 8)
    for (std::size_t j = 0; j < 8; ++j) y[i + j] += a * x[i + j];
  for (std::size_t i = blocks * 8; i < n; ++i) y[i] += a * x[i];
}

/// x weightᵀ + bias
inline tensor linear(const tensor& x, const tensor& weight, const tensor& bias) {
  tensor y{x.shape[0], weight.shape[0]};
  for (std::size_t o = 0; o < weight.rows(); ++o)
    for (std::size_t b = 0; b < x.rows(); ++b) y.row(b)[o] = bias.data[o] + dot(x.row(b), weight.row(o), x.cols());
  return y;
}

/// Adds to the gradients of `weight` and `bias`, and to that of `x` unless `dx` is null.
inline void linear_backward(const tensor& x, const tensor& weight, const tensor& dy, tensor& dweight, tensor& dbias,
                            tensor* dx = nullptr) {
  for (std::size_t o = 0; o < weight.rows(); ++o)
    for (std::size_t b = 0; b < x.rows(); ++b) {
      dbias.data[o] += dy.row(b)[o];
      axpy(dy.row(b)[o], x.row(b), dweight.row(o), x.cols());
    }
  if (dx)
    for (std::size_t b = 0; b < x.rows(); ++b)
      for (std::size_t o = 0; o < weight.rows(); ++o) axpy(dy.row(b)[o], weight.row(o), dx->row(b), x.cols());
}

inline tensor relu(tensor x) {
  for (float& v : x.data) v = std::max(v, 0.0f);
  return x;
}

/// Turns the gradient of `y = relu(x)` into that of `x`.
inline void relu_backward(const tensor& y, tensor& gradient) {
  for (std::size_t i = 0; i < y.data.size(); ++i)
    if (y.data[i] <= 0.0f) gradient.data[i] = 0.0f;
}

/// Mean cross-entropy in nats; the logits become their gradient.
inline float cross_entropy(tensor& logits, const std::vector<std::int32_t>& labels) {
  const float share = 1.0f / static_cast<float>(logits.rows());
  float loss = 0.0f;
  for (std::size_t b = 0; b < logits.rows(); ++b) {
    float* z = logits.row(b);
    const float highest = *std::max_element(z, z + logits.cols());
    float total = 0.0f;
    for (std::size_t c = 0; c < logits.cols(); ++c) total += std::exp(z[c] - highest);
    const auto label = static_cast<std::size_t>(labels[b]);
    loss += (std::log(total) + highest - z[label]) * share;
    for (std::size_t c = 0; c < logits.cols(); ++c)
      z[c] = (std::exp(z[c] - highest) / total - (c == label ? 1.0f : 0.0f)) * share;
  }
  return loss;
}

/// The share of rows whose largest logit is the label's.
inline double accuracy(const tensor& logits, const std::vector<std::int32_t>& labels) {
  std::size_t right = 0;
  for (std::size_t b = 0; b < logits.rows(); ++b)
    if (std::max_element(logits.row(b), logits.row(b) + logits.cols()) - logits.row(b) == labels[b]) ++right;
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

}  // namespace example

/// How the examples' tensor is saved: its elements, in its shape.
template <class T>
struct holdfast::traits<example::basic_tensor<T>> {
  static holdfast::tensor_view view(example::basic_tensor<T>& t) {
    return holdfast::tensor_view(t.data.data(), holdfast::shape(t.shape));
  }
};
