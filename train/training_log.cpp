#include "train/training_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/table.h"
#include "core/text.h"

namespace epvs::train {

void write_training_table(const std::filesystem::path& path, const std::vector<EpochRow>& history) {
  std::vector<std::string> columns = {"epoch"};
  for (const EpochFigure& figure : kEpochFigures) columns.emplace_back(figure.column);
  columns.emplace_back("is_best");
  core::Table table(columns);
  for (const EpochRow& row : history) {
    std::vector<std::string> cells = {std::to_string(row.epoch)};
    for (const EpochFigure& figure : kEpochFigures) {
      const bool is_time = figure.value == &EpochRow::seconds;
      cells.push_back(is_time ? fmt::format("{:.3f}", row.seconds)
                              : core::format_number(row.*figure.value));
    }
    cells.emplace_back(row.is_best ? "1" : "0");
    table.add_row(std::move(cells));
  }
  table.write(path);
}

std::string epoch_line(const std::vector<EpochRow>& history, std::int64_t epochs,
                       bool has_validation) {
  const EpochRow& row = history.back();
  double recent = 0;
  const std::size_t count = std::min<std::size_t>(5, history.size());
  for (std::size_t i = history.size() - count; i < history.size(); ++i) {
    recent += history[i].seconds / static_cast<double>(count);
  }
  const double left = recent * static_cast<double>(epochs - row.epoch);
  std::string validation;
  if (has_validation) {
    validation = fmt::format(" | validation loss {:10.4f} r {:6.3f} ICC {:6.3f}",
                             row.validation_loss, row.validation_pearson, row.validation_icc2);
  }
  if (row.epoch == 0) return fmt::format("before training, the weights of --init{}", validation);
  return fmt::format("epoch {:4d}/{} | train loss {:10.4f}{} | lr {:.3g} | {:7.2f} s | {} left{}",
                     row.epoch, epochs, row.train_loss, validation, row.learning_rate, row.seconds,
                     core::format_duration(left), row.is_best ? " | best" : "");
}

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
