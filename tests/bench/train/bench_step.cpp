// Times one training step as epvs train takes it, one forward pass, and the optimiser alone; peak
// memory of the process. Not a test: see run.sh.
//
//   bench_step ARCHITECTURE WHAT PRECISION REPEATS THREADS Z Y X
//
// WHAT is step, forward or optimizer; CHECKPOINTING is 0 or 1. Prints a row of
// docs/results/training-speed.md as TSV.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "models/network.h"
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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9) {
    fmt::print(stderr, "usage: {} ARCHITECTURE WHAT PRECISION REPEATS THREADS Z Y X\n", argv[0]);
    return 2;
  }
  const std::string what = argv[2];
  train::Recipe recipe;
  recipe.network.architecture = core::from_text<models::Architecture>(argv[1], "the architecture");
  recipe.network.init = models::Init::kHe;
  recipe.network.input_zyx = {std::stoll(argv[6]), std::stoll(argv[7]), std::stoll(argv[8])};
  recipe.train.precision = core::from_text<models::Precision>(argv[3], "the precision");
  recipe.train.learning_rate = 1.0;
  recipe.augment.enabled = false;
  const int repeats = std::stoi(argv[4]);
  const int threads = std::stoi(argv[5]);
  models::set_up_torch({threads, true, true});

  const auto network = models::make_network(recipe.network, 1);
  const auto optimizer =
      train::make_optimizer(recipe.train, train::trained_parameters(*network, recipe.train));
  train::ProcessGroup group;
  train::TrainingStep step(*network, *optimizer, recipe, {0.5, 0.5, 0.5}, torch::kCPU, group);
  const auto [z, y, x] = recipe.network.input_zyx;
  const torch::Tensor volume = torch::rand({1, 1, z, y, x});
  train::Example example;
  example.participant_id = "sub-1";
  example.label = 7;
  train::LossScale scale;
  const auto once = [&] {
    if (what == "forward") {
      const torch::NoGradGuard no_grad;
      const models::Autocast autocast(models::parse_precision(recipe.train.precision), torch::kCPU);
      network->forward(volume);
    } else if (what == "step") {
      step.add_batch(volume, {&example}, 1.0, {});
      step.update(1.0, {}, scale);
    } else {
      optimizer->step(1.0);
    }
  };
  if (what == "optimizer") step.add_batch(volume, {&example}, 1.0, {});
  once();
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    once();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  fmt::print("epvs\t{}\t{}\t{}\t{}\t{:.3f}\t{:.3f}\t{:.2f}\n", argv[1], what, argv[3], threads,
             median(seconds), *std::min_element(seconds.begin(), seconds.end()), peak_gib());
  return 0;
}
