// epvs train: a recipe, a cohort, labels and splits in; a run folder out.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/torch_setup.h"
#include "train/distributed/process_group.h"
#include "train/train_usage.h"
#include "train/trainer.h"

namespace epvs::train {

class TrainCommand : public TrainUsage {
 public:
  void run(core::Context& context) override;

 private:
  void read_recipe();
  void preview(core::Context& context);
  void require_inputs();
  void require_trainable(const data::Examples& examples, const ProcessGroup& group) const;
  /// All that decides the result, flat: kept in checkpoints, compared by --resume and between
  /// processes.
  core::Json identity(const data::CohortReader& cohort, const data::Examples& examples,
                      std::uint64_t seed, int threads, const torch::Device& device,
                      const ProcessGroup& group) const;
  void train(core::Context& context, ProcessGroup& group);
  void begin(core::Context& context, const data::Examples& examples, const torch::Device& device,
             int threads, ProcessGroup& group) const;
  void describe_run(core::Context& context, const torch::Device& device, int threads, bool resumed,
                    const ProcessGroup& group) const;
  TrainingJob make_job(const data::CohortReader& cohort, const data::Examples& examples,
                       const core::Json& identity, std::uint64_t seed,
                       const torch::Device& device) const;
  void write_scores(Trainer& trainer, const data::Examples& examples, bool is_first) const;
  void finish(core::Context& context, const TrainingSummary& summary) const;
};

}  // namespace epvs::train
