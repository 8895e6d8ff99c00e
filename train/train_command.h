// epvs train: a recipe, a cohort, labels and splits in; a run folder out.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/command.h"
#include "models/torch_setup.h"
#include "train/distributed/process_group.h"
#include "train/trainer.h"

namespace epvs::train {

class TrainCommand : public core::Command {
 public:
  core::Manual manual() const override;
  void declare(core::CommandLine& line) override;
  void run(core::Context& context) override;

 private:
  void read_recipe();
  void preview(core::Context& context);
  void require_inputs();
  void require_trainable(const Examples& examples, const ProcessGroup& group) const;
  /// All that decides the result, flat: kept in checkpoints, compared by --resume and between
  /// processes.
  core::Json identity(const data::CohortReader& cohort, const Examples& examples,
                      std::uint64_t seed, int threads, const torch::Device& device,
                      const ProcessGroup& group) const;
  void train(core::Context& context, ProcessGroup& group);
  void begin(core::Context& context, const Examples& examples, const torch::Device& device,
             int threads, ProcessGroup& group) const;
  void describe_run(core::Context& context, const torch::Device& device, int threads, bool resumed,
                    const ProcessGroup& group) const;
  TrainingJob make_job(const data::CohortReader& cohort, const Examples& examples,
                       const core::Json& identity, std::uint64_t seed,
                       const torch::Device& device) const;
  void write_scores(Trainer& trainer, const Examples& examples, bool is_first) const;
  void finish(core::Context& context, const TrainingSummary& summary) const;

  std::filesystem::path recipe_file_;
  std::filesystem::path cohort_;
  std::filesystem::path scores_;
  std::filesystem::path splits_;
  std::filesystem::path out_;
  std::filesystem::path init_;
  std::string region_;
  std::string target_;
  std::string scorer_;
  int fold_ = 0;
  int repeat_ = 0;
  std::vector<std::string> set_;
  bool resume_ = false;
  bool resume_force_ = false;
  bool print_recipe_ = false;
  std::filesystem::path preview_;
  std::int64_t log_steps_ = 0;

  Recipe recipe_;
  core::ParameterTable table_;
};

/// `--resume=force`, as people write it, becomes `--resume --resume-force`.
std::vector<std::string> expand_resume(int argc, const char* const* argv);

}  // namespace epvs::train
