// Times what networks cost: a score, a score with its attention map, a training step as `epvs train`
// takes it, the optimiser alone; or the machine's own limits. Not a test: scripts/bench runs it.
//
//   bench_step NETWORK WHAT PRECISION LAYOUT REPEATS THREADS Z Y X [DEVICE]
//
// DEVICE: cpu (the default) or cuda. NETWORK: media2019, cnn4, gp_unet. WHAT: score, map, step, optimizer, sgemm, convolution (the last
// two ignore the network). LAYOUT: blocked, plain or channels_last (models/network.h). Prints median seconds, least seconds
// and the peak memory of the process in GiB, as TSV; for the limits GFLOP/s alone.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "models/network.h"
#include "models/profile.h"
#include "models/torch.h"
#include "models/torch_setup.h"
#include "train/training_step.h"

namespace {

using namespace epvs;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double peak_gib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1024.0 * 1024.0);
}

/// Seconds of each run after two that do not count: freed memory is kept from then on. On a GPU five,
/// and until it has done what it was asked for.
std::vector<double> time(int repeats, const torch::Device& device,
                         const std::function<void()>& ask) {
  const auto once = [&] {
    ask();
    if (device.is_cuda()) torch::cuda::synchronize();
  };
  for (int i = 0; i < (device.is_cuda() ? 5 : 2); ++i) once();
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    once();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return seconds;
}

/// Floating point operations per second of a product of 2048 x 2048 matrices, the best of `repeats`.
double sgemm_rate(int repeats, const torch::Device& device) {
  const torch::Tensor a = torch::rand({2048, 2048}, device);
  const std::vector<double> seconds = time(repeats, device, [a] { torch::mm(a, a); });
  return 2.0 * 2048 * 2048 * 2048 / *std::min_element(seconds.begin(), seconds.end());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 10 && argc != 11) {
    fmt::print(stderr, "usage: {} NETWORK WHAT PRECISION LAYOUT REPEATS THREADS Z Y X [DEVICE]\n",
               argv[0]);
    return 2;
  }
  const torch::Device device = models::resolve_device(argc == 11 ? argv[10] : "cpu");
  const std::string what = argv[2];
  train::Recipe recipe;
  recipe.network.architecture = core::from_text<models::Architecture>(argv[1], "the network");
  recipe.network.init = models::Init::kHe;
  recipe.network.input_zyx = {std::stoll(argv[7]), std::stoll(argv[8]), std::stoll(argv[9])};
  recipe.train.precision = core::from_text<models::Precision>(argv[3], "the precision");
  recipe.train.learning_rate = 1.0;
  recipe.augment.enabled = false;
  const int repeats = std::stoi(argv[5]);
  const int threads = std::stoi(argv[6]);
  // As train.deterministic = false on a GPU: cuDNN tries its kernels and takes the fastest.
  models::set_up_torch({threads, true, device.is_cpu()});

  if (what == "sgemm" || what == "convolution") {
    fmt::print("{:.0f}\n",
               (what == "sgemm" ? sgemm_rate(repeats, device)
                                : models::convolution_rate(device, recipe.train.precision)) /
                   1e9);
    return 0;
  }
  const auto network = models::make_network(recipe.network, 1);
  const std::string layout = argv[4];
  network->set_layout(layout == "plain"     ? models::Network::Layout::kPlain
                      : layout == "blocked" ? models::Network::Layout::kBlocked
                                            : models::Network::Layout::kChannelsLast);
  network->to(device);
  const auto optimizer =
      train::make_optimizer(recipe.train, train::trained_parameters(*network, recipe.train));
  train::ProcessGroup group;
  train::TrainingStep step(*network, *optimizer, recipe, {0.5, 0.5, 0.5}, device, group);
  const auto [z, y, x] = recipe.network.input_zyx;
  const torch::Tensor volume = torch::rand({1, 1, z, y, x}).to(device);
  data::Example example;
  example.participant_id = "sub-1";
  example.label = 7;
  if (what == "optimizer") step.add_batch(volume, {&example}, 1.0, {});
  const std::vector<double> seconds = time(repeats, device, [&] {
    if (what == "step") {
      step.add_batch(volume, {&example}, 1.0, {});
      step.update(1.0, {});
    } else if (what == "optimizer") {
      optimizer->step(1.0);
    } else {
      const torch::NoGradGuard no_grad;
      const models::Autocast autocast(recipe.train.precision, device);
      if (what == "map") {
        network->forward_with_attention(volume);
      } else {
        network->forward(volume);
      }
    }
  });
  fmt::print("{:.4f}\t{:.4f}\t{:.2f}\n", median(seconds),
             *std::min_element(seconds.begin(), seconds.end()), peak_gib());
  return 0;
}
