#include "core/random.h"

#include <boost/random/bernoulli_distribution.hpp>
#include <boost/random/gamma_distribution.hpp>
#include <boost/random/normal_distribution.hpp>
#include <boost/random/poisson_distribution.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <boost/random/uniform_real_distribution.hpp>
#include <numeric>
#include <string>

namespace epvs::core {

namespace {

std::uint64_t split_mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t SeedPart::of_text(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return hash;
}

std::uint64_t mix_seed(std::uint64_t seed, std::initializer_list<SeedPart> parts) {
  std::uint64_t state = split_mix(seed);
  for (const SeedPart& part : parts) state = split_mix(state ^ split_mix(part.value()));
  return state;
}

double Random::uniform(double low, double high) {
  if (!(low < high)) return low;
  return boost::random::uniform_real_distribution<double>(low, high)(engine_);
}

double Random::normal(double mean, double standard_deviation) {
  return mean + standard_deviation * boost::random::normal_distribution<double>()(engine_);
}

std::int64_t Random::integer(std::int64_t low, std::int64_t high) {
  return boost::random::uniform_int_distribution<std::int64_t>(low, high)(engine_);
}

bool Random::flip(double probability) {
  return boost::random::bernoulli_distribution<double>(probability)(engine_);
}

std::int64_t Random::poisson(double mean) {
  if (!(mean > 0)) return 0;
  return boost::random::poisson_distribution<std::int64_t, double>(mean)(engine_);
}

double Random::gamma(double shape, double scale) {
  return boost::random::gamma_distribution<double>(shape, scale)(engine_);
}

std::int64_t Random::negative_binomial(double mean, double size) {
  return poisson(gamma(size, mean / size));
}

std::vector<std::size_t> Random::permutation(std::size_t n) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i) {
    std::swap(order[i - 1],
              order[static_cast<std::size_t>(integer(0, static_cast<std::int64_t>(i) - 1))]);
  }
  return order;
}

}  // namespace epvs::core
