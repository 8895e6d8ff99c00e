#include "train/step_report.h"

#include <fmt/format.h>

#include "core/text.h"

namespace epvs::train {

StepReport::StepReport(core::Log& log, std::int64_t every, std::int64_t epochs,
                       std::int64_t batches_per_epoch, std::int64_t done)
    : log_(log),
      every_(every),
      epochs_(epochs),
      batches_(batches_per_epoch),
      first_(done),
      done_(done) {
  if (every_ > 0) return;
  progress_.emplace(log_, "training", static_cast<std::size_t>(epochs_ * batches_), "step");
  progress_->skip(static_cast<std::size_t>(done));
}

void StepReport::step(const StepFigures& figures) {
  ++done_;
  if (progress_) {
    progress_->advance(1, fmt::format("epoch {} loss {:.4g}", figures.epoch, figures.mean_loss));
    return;
  }
  const std::int64_t steps = epochs_ * batches_;
  if (done_ % every_ != 0 && done_ != steps) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  log_.info("{}", step_line(figures, done_, steps, epochs_, batches_,
                            seconds / static_cast<double>(done_ - first_)));
}

std::string step_line(const StepFigures& figures, std::int64_t step, std::int64_t steps,
                      std::int64_t epochs, std::int64_t batches, double seconds_each) {
  return fmt::format(
      "step {}/{} | epoch {}/{} batch {}/{} | loss {:.4g}, epoch {:.4g} | lr {:.3g} | {} each | {} "
      "left",
      step, steps, figures.epoch, epochs, figures.batch, batches, figures.loss, figures.mean_loss,
      figures.learning_rate, core::format_duration(seconds_each),
      core::format_duration(seconds_each * static_cast<double>(steps - step)));
}

}  // namespace epvs::train
