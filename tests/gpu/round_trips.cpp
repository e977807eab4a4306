// Saves and restores of what lives on GPUs, by the public interface and the CUDA API alone: on a GPU where there is one, and over the
// simulator. What is on a device is written by cudaMemcpyAsync and cudaMemsetAsync, which nothing waits for, and checked against the file.
#include <complex>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <cuda_runtime_api.h>

#include <holdfast/cuda.hpp>
#include <holdfast/separate.hpp>

#include "../support.hpp"

using holdfast::gpu;
using holdfast::host;

namespace {

void good(cudaError_t error) { BOOST_REQUIRE_MESSAGE(error == cudaSuccess, cudaGetErrorName(error) << ": " << cudaGetErrorString(error)); }

int device_count() {
  int n = 0;
  good(cudaGetDeviceCount(&n));
  return n;
}

std::vector<holdfast::memory_space> places() {
  std::vector<holdfast::memory_space> all{host};
  for (int d = 0; d < std::min(device_count(), 2); ++d) all.push_back(gpu(d));
  return all;
}

/// Makes a device current while it lives.
class on_device {
 public:
  explicit on_device(int device) {
    good(cudaGetDevice(&before_));
    good(cudaSetDevice(device));
  }
  on_device(const on_device&) = delete;
  ~on_device() { (void)cudaSetDevice(before_); }

 private:
  int before_ = 0;
};

class stream {
 public:
  explicit stream(int device = 0) {
    const on_device here(device);
    good(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  stream(const stream&) = delete;
  ~stream() { (void)cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

struct of_device {
  void operator()(std::byte* p) const { (void)cudaFree(p); }
};
struct page_locked {
  void operator()(std::byte* p) const { (void)cudaFreeHost(p); }
};

/// Memory of a device, which what runs on a stream writes.
class memory {
 public:
  memory(int device, std::size_t bytes, cudaStream_t on) : device_(device), bytes_(bytes), stream_(on) {
    const on_device here(device);
    void* p = nullptr;
    good(cudaMalloc(&p, bytes));
    on_device_.reset(static_cast<std::byte*>(p));
    good(cudaMallocHost(&p, bytes));
    page_locked_.reset(static_cast<std::byte*>(p));
  }
  std::byte* data() const { return on_device_.get(); }
  std::size_t size() const { return bytes_; }

  /// Enqueues the copy and does not wait for it. The content must not be replaced before it is done.
  void write(const std::vector<std::byte>& content) {
    const on_device here(device_);
    std::memcpy(page_locked_.get(), content.data(), bytes_);
    good(cudaMemcpyAsync(data(), page_locked_.get(), bytes_, cudaMemcpyHostToDevice, stream_));
  }
  void fill(int value) {
    const on_device here(device_);
    good(cudaMemsetAsync(data(), value, bytes_, stream_));
  }
  std::vector<std::byte> read() const {
    const on_device here(device_);
    std::vector<std::byte> content(bytes_);
    good(cudaMemcpyAsync(content.data(), data(), bytes_, cudaMemcpyDeviceToHost, stream_));
    good(cudaStreamSynchronize(stream_));
    return content;
  }

 private:
  int device_;
  std::size_t bytes_;
  cudaStream_t stream_;
  std::unique_ptr<std::byte, of_device> on_device_;
  std::unique_ptr<std::byte, page_locked> page_locked_;
};

/// Any bytes; 0 and 1 for bool.
template <class T>
std::vector<std::byte> random_content(std::mt19937_64& engine, std::size_t elements) {
  std::vector<std::byte> content(elements * sizeof(T));
  for (std::byte& b : content) b = static_cast<std::byte>(std::is_same_v<T, bool> ? engine() & 1 : engine());
  return content;
}

template <class T>
bool holds(const holdfast::checkpoint_file& file, const std::string& path, const std::vector<std::byte>& content) {
  const std::span<const T> found = file.map<T>(path);
  return found.size_bytes() == content.size() && std::memcmp(found.data(), content.data(), content.size()) == 0;
}

/// A tensor of one dtype on a device.
template <class T>
struct typed {
  static constexpr std::int64_t rows = 37, columns = 1021;
  static constexpr std::size_t elements = 37 * 1021;
  const std::string path{holdfast::name(holdfast::dtype_of<T>::value)};
  memory on;
  std::vector<std::byte> content{};

  typed(int device, cudaStream_t s) : on(device, elements * sizeof(T), s) {}
  void bind(holdfast::state& state, cudaStream_t s) { state.bind(path, holdfast::cuda::tensor(reinterpret_cast<T*>(on.data()), {rows, columns}, s)); }
  void write(std::mt19937_64& engine) { on.write(content = random_content<T>(engine, elements)); }
  void check(const holdfast::checkpoint_file& file) const { BOOST_TEST(holds<T>(file, path, content), path); }
  void check_device() const { BOOST_TEST((on.read() == content), path); }
};

template <class... T>
using of_each = std::tuple<typed<T>...>;
using every_dtype = of_each<bool, std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t, holdfast::float16, holdfast::bfloat16,
                            float, double, std::complex<float>, std::complex<double>, holdfast::float8_e4m3fn, holdfast::float8_e5m2>;

using buffer = holdfast::cuda::buffer<float>;

/// Enqueues content for a buffer wherever it is, and returns it. Pageable memory is staged by the call.
std::vector<float> write(buffer& b, std::mt19937_64& engine) {
  std::vector<float> content(b.size());
  for (float& x : content) x = static_cast<float>(engine() % 1'000'000) / 1024.f;
  if (b.space() == host) {
    std::copy(content.begin(), content.end(), b.data());
  } else {
    const on_device here(b.space().device);
    good(cudaMemcpyAsync(b.data(), content.data(), content.size() * sizeof(float), cudaMemcpyHostToDevice, b.stream()));
    good(cudaStreamSynchronize(b.stream()));
  }
  return content;
}

std::vector<float> read(const buffer& b) {
  std::vector<float> content(b.size());
  if (b.space() == host) {
    std::copy(b.data(), b.data() + b.size(), content.begin());
  } else {
    const on_device here(b.space().device);
    good(cudaMemcpyAsync(content.data(), b.data(), content.size() * sizeof(float), cudaMemcpyDeviceToHost, b.stream()));
    good(cudaStreamSynchronize(b.stream()));
  }
  return content;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gpu_round_trips)

BOOST_AUTO_TEST_CASE(every_dtype_comes_back) {
  const support::folder folder;
  std::mt19937_64 engine = support::random_engine();
  for (int device = 0; device < std::min(device_count(), 2); ++device) {
    const on_device here(device);
    const stream s(device);
    const auto make = [&]<class... T>(std::type_identity<of_each<T...>>) { return std::make_unique<of_each<T...>>(typed<T>(device, s)...); };
    const auto tensors = make(std::type_identity<every_dtype>());
    const auto each = [&](auto&& f) { std::apply([&](auto&... t) { (f(t), ...); }, *tensors); };
    holdfast::state state;
    each([&](auto& t) { t.bind(state, s); });
    for (const bool async : {false, true}) {
      each([&](auto& t) { t.write(engine); });
      if (async) holdfast::save_async(folder / "a.h5", state).wait();
      else holdfast::save(folder / "a.h5", state);
      {
        const holdfast::checkpoint_file file(folder / "a.h5");
        file.verify();
        each([&](auto& t) { t.check(file); });
        for (const holdfast::entry& e : file.entries()) BOOST_TEST((e.place == gpu(device)), e.path);
      }
      each([&](auto& t) { t.on.fill(0xEE); });
      holdfast::restore(folder / "a.h5", state, {.read_back = true});
      each([&](auto& t) { t.check_device(); });
    }
  }
}

BOOST_AUTO_TEST_CASE(a_save_sees_what_was_enqueued_before_it_and_nothing_later) {
  const support::folder folder;
  const stream s;
  memory large(0, std::size_t{24} << 20, s), small(0, 40, s);
  holdfast::state state;
  state.bind("large", holdfast::cuda::tensor(reinterpret_cast<std::uint8_t*>(large.data()), {static_cast<std::int64_t>(large.size())}, s))
      .bind("small", holdfast::cuda::tensor(reinterpret_cast<std::uint8_t*>(small.data()), {40}, s));
  holdfast::saver saver;
  for (int round = 1; round <= 5; ++round) {
    for (int i = 0; i < 20; ++i) large.fill(0x80 + i);  // keeps the stream busy
    large.fill(round);
    small.fill(round);
    auto pending = saver.save_async(folder / "async.h5", state);
    large.fill(0xFF);
    small.fill(0xFF);
    pending.wait();
    const holdfast::checkpoint_file file(folder / "async.h5");
    file.verify();
    BOOST_TEST(holds<std::uint8_t>(file, "large", std::vector<std::byte>(large.size(), std::byte(round))));
    BOOST_TEST(holds<std::uint8_t>(file, "small", std::vector<std::byte>(40, std::byte(round))));

    holdfast::restore(folder / "async.h5", state);  // comes after those, and is there when it returns
    BOOST_TEST((large.read() == std::vector<std::byte>(large.size(), std::byte(round))));
    small.fill(round + 100);
    saver.save(folder / "sync.h5", state);
    BOOST_TEST(holds<std::uint8_t>(holdfast::checkpoint_file(folder / "sync.h5"), "small", std::vector<std::byte>(40, std::byte(round + 100))));
  }
}

BOOST_AUTO_TEST_CASE(default_streams) {
  const support::folder folder;
  for (const cudaStream_t s : {cudaStream_t{}, cudaStreamLegacy, cudaStreamPerThread}) {
    memory a(0, std::size_t{8} << 20, s);
    holdfast::state state;
    state.bind("a", holdfast::cuda::tensor(reinterpret_cast<std::uint8_t*>(a.data()), {static_cast<std::int64_t>(a.size())}, s));
    a.fill(1);
    auto pending = holdfast::save_async(folder / "a.h5", state);
    a.fill(2);
    pending.wait();
    BOOST_TEST(holds<std::uint8_t>(holdfast::checkpoint_file(folder / "a.h5"), "a", std::vector<std::byte>(a.size(), std::byte{1})));
    holdfast::restore(folder / "a.h5", state);
    BOOST_TEST((a.read() == std::vector<std::byte>(a.size(), std::byte{1})));
  }
}

BOOST_AUTO_TEST_CASE(strided_tensors_keep_their_logical_order) {
  const support::folder folder;
  const stream s;
  constexpr std::int64_t n = 300, m = 500, pitch = 512;
  memory a(0, std::size_t{n * pitch} * sizeof(std::int32_t), s);
  auto* const first = reinterpret_cast<std::int32_t*>(a.data());
  holdfast::state state;
  state.bind("rows", holdfast::cuda::tensor(first, {n, m}, {pitch, 1}, s))
      .bind("columns", holdfast::cuda::tensor(first, {m, n}, {1, pitch}, s))
      .bind("backwards", holdfast::cuda::tensor(first + m - 1, {m}, {-1}, s));
  std::vector<std::int32_t> content(std::size_t{n * pitch});
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::int32_t>(i);
  const auto bytes = std::as_bytes(std::span(content));
  const std::vector<std::byte> whole(bytes.begin(), bytes.end());
  for (const bool async : {false, true}) {
    a.write(whole);
    if (async) holdfast::save_async(folder / "a.h5", state).wait();
    else holdfast::save(folder / "a.h5", state);
    {
      const holdfast::checkpoint_file file(folder / "a.h5");
      file.verify();
      const auto rows = file.map<std::int32_t>("rows"), columns = file.map<std::int32_t>("columns"), backwards = file.map<std::int32_t>("backwards");
      bool right = true;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < m; ++j) right = right && rows[static_cast<std::size_t>(i * m + j)] == i * pitch + j && columns[static_cast<std::size_t>(j * n + i)] == i * pitch + j;
      for (std::int64_t j = 0; j < m; ++j) right = right && backwards[static_cast<std::size_t>(j)] == m - 1 - j;
      BOOST_TEST(right);
    }
    a.fill(0);
    holdfast::restore(folder / "a.h5", state, {.read_back = true});
    const std::vector<std::byte> back = a.read();
    for (std::int64_t i = 0; i < n; ++i)  // what lies between the rows is no part of a tensor
      BOOST_REQUIRE(std::memcmp(back.data() + i * pitch * 4, whole.data() + i * pitch * 4, m * 4) == 0);
  }
}

BOOST_AUTO_TEST_CASE(from_every_place_to_every_place) {
  const support::folder folder;
  std::mt19937_64 engine = support::random_engine();
  for (const auto saved : places())
    for (const auto bound : places())
      for (const auto wanted : places()) {
        buffer from({1'500'000}, saved), to({1'500'000}, bound), empty;
        const std::vector<float> content = write(from, engine);
        holdfast::state a, b, c;
        a.bind("x", from);
        b.bind("x", to);
        c.bind("x", empty);
        holdfast::save(folder / "a.h5", a);
        holdfast::restore(folder / "a.h5", b);
        BOOST_TEST((to.space() == bound && read(to) == content));
        write(to, engine);
        holdfast::restore(folder / "a.h5", b, {.place = wanted, .read_back = true});
        BOOST_TEST((to.space() == wanted && read(to) == content));
        write(to, engine);
        holdfast::restore(folder / "a.h5", b, {.place = holdfast::as_saved});
        BOOST_TEST((to.space() == saved && read(to) == content));
        holdfast::restore(folder / "a.h5", c, {.place = wanted});
        BOOST_TEST((empty.space() == wanted && read(empty) == content));
      }
}

BOOST_AUTO_TEST_CASE(a_state_of_many_tensors_on_all_devices_and_the_host) {
  const support::folder folder;
  std::mt19937_64 engine = support::random_engine();
  std::vector<std::unique_ptr<buffer>> tensors;
  std::vector<std::vector<float>> content;
  holdfast::state state;
  for (std::size_t i = 0; i < 400; ++i) {
    const auto n = support::pick<std::int64_t>(engine, 0, i % 100 == 0 ? 3'000'000 : 3'000);
    tensors.push_back(std::make_unique<buffer>(holdfast::shape{n}, places()[i % places().size()]));
    content.push_back(write(*tensors.back(), engine));
    state.bind("layer/" + std::to_string(i), *tensors.back());
  }
  holdfast::saver saver;
  saver.save_async(folder / "a.h5", state).wait();
  for (const auto& t : tensors) write(*t, engine);
  holdfast::restore(folder / "a.h5", state, {.read_back = true});
  for (std::size_t i = 0; i < tensors.size(); ++i) BOOST_TEST((read(*tensors[i]) == content[i]), i);
  saver.save(folder / "b.h5", state);
  BOOST_TEST((support::bytes_of(folder / "a.h5") == support::bytes_of(folder / "b.h5")));
}

BOOST_AUTO_TEST_CASE(a_gpu_that_is_not_there_is_named) {
  const support::folder folder;
  const holdfast::memory_space beyond = gpu(device_count());
  buffer x({4});
  std::mt19937_64 engine = support::random_engine();
  const std::vector<float> content = write(x, engine);
  holdfast::state state;
  state.bind("x", x);
  holdfast::save(folder / "a.h5", state);
  support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", state, {.place = beyond}); }), "/x", holdfast::name(beyond), "this machine, which has gpu(0)");
  BOOST_TEST(read(x) == content);
}

BOOST_AUTO_TEST_SUITE_END()
