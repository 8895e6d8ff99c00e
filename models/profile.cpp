#include "models/profile.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/torch.h"

namespace epvs::models {

namespace {

void wait_for(c10::Device device) {
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
}

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::vector<std::string> table_of(const core::Json& profile) {
  const auto unit = profile.at("unit").get<std::string>();
  const auto count = profile.at("count").get<std::int64_t>();
  std::vector<std::string> lines = {
      fmt::format("profile of {} {}s, {:.2f} s:", count, unit, profile.at("seconds").get<double>()),
      fmt::format("  {:<14}{:>9}{:>8}{:>13}{:>10}{:>10}", "part", "s", "share", "ms per " + unit,
                  "GFLOP/s", "of limit")};
  for (const core::Json& part : profile.at("parts")) {
    const auto seconds = part.at("seconds").get<double>();
    std::string line = fmt::format(
        "  {:<14}{:>9.2f}{:>7.1f}%{:>13.2f}", part.at("part").get<std::string>(), seconds,
        100 * part.at("share").get<double>(), 1000 * seconds / static_cast<double>(count));
    if (part.contains("share_of_limit")) {
      line += fmt::format("{:>10.0f}{:>9.0f}%", part.at("gflop_per_second").get<double>(),
                          100 * part.at("share_of_limit").get<double>());
    }
    lines.push_back(std::move(line));
  }
  lines.push_back(fmt::format(
      "  limit: {:.0f} GFLOP/s, a convolution of 32 to 32 channels in {} on {}, "
      "measured just now",
      profile.at("limit_gflop_per_second").get<double>(),
      profile.at("precision").get<std::string>(), profile.at("device").get<std::string>()));
  return lines;
}

}  // namespace

Profile::Profile(c10::Device device, Precision precision)
    : device_(device), precision_(precision), start_(Clock::now()) {}

Profile::Part& Profile::part(const char* name) {
  const auto found = std::ranges::find(parts_, name, &Part::name);
  return found != parts_.end() ? *found : parts_.emplace_back(Part{name});
}

core::Json Profile::report(core::Log& log, const std::string& unit, std::int64_t count) const {
  const double total = seconds_between(start_, Clock::now());
  const double limit = convolution_rate(device_, precision_);
  core::Json parts = core::Json::array();
  const auto add = [&](const std::string& name, double seconds, double flops) {
    core::Json part = {{"part", name}, {"seconds", seconds}, {"share", seconds / total}};
    if (flops > 0) {
      part["gflop_per_second"] = flops / seconds / 1e9;
      part["share_of_limit"] = flops / seconds / limit;
    }
    parts.push_back(std::move(part));
  };
  double other = total;
  for (const Part& part : parts_) {
    add(part.name, part.seconds, part.flops);
    other -= part.seconds;
  }
  add("other", other, 0);
  const core::Json profile = {{"unit", unit},
                              {"count", count},
                              {"seconds", total},
                              {"parts", parts},
                              {"device", device_.str()},
                              {"precision", core::to_text(precision_)},
                              {"limit_gflop_per_second", limit / 1e9}};
  for (const std::string& line : table_of(profile)) log.info("{}", line);
  return profile;
}

Timed::Timed(Profile* profile, const char* part, double flops)
    : profile_(profile), part_(part), flops_(flops) {
  if (profile_ == nullptr) return;
  wait_for(profile_->device_);
  start_ = Profile::Clock::now();
}

Timed::~Timed() {
  if (profile_ == nullptr) return;
  wait_for(profile_->device_);
  Profile::Part& part = profile_->part(part_);
  part.seconds += seconds_between(start_, Profile::Clock::now());
  part.flops += flops_;
}

double convolution_rate(c10::Device device, Precision precision) {
  const torch::NoGradGuard no_grad;
  const auto type = precision == Precision::kFloat64 ? torch::kDouble
                    : precision == Precision::kBf16  ? torch::kBFloat16
                                                     : torch::kFloat;
  const bool blocked = device.is_cpu() && type != torch::kDouble && at::hasMKLDNN();
  torch::Tensor x = torch::ones({1, 32, 40, 64, 84}, device).to(type);
  torch::Tensor weight = torch::ones({32, 32, 3, 3, 3}, device);
  if (blocked) {
    x = x.to_mkldnn();
  } else {
    weight = weight.to(type);
  }
  double best = 0;
  constexpr int kRuns = 7;
  for (int run = 0; run < kRuns; ++run) {
    wait_for(device);
    const auto start = std::chrono::steady_clock::now();
    torch::conv3d(x, weight, {}, /*stride=*/1, /*padding=*/1);
    wait_for(device);
    const double flops = 2.0 * 32 * 32 * 27 * 40 * 64 * 84;
    best = std::max(best, flops / seconds_between(start, std::chrono::steady_clock::now()));
  }
  return best;
}

}  // namespace epvs::models
