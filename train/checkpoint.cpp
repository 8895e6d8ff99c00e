#include "train/checkpoint.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/files.h"
#include "models/safetensors.h"
#include "train/loss.h"

namespace epvs::train {

namespace fs = std::filesystem;
using core::Json;

namespace {

constexpr const char* kWeights = "weights.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kScaledUnit = "scaled_unit.safetensors";
constexpr const char* kState = "state.json";
constexpr const char* kDone = "DONE";
constexpr int kFormatVersion = 3;

/// JSON has no NaN: it is stored as null.
double number(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Json row_to_json(const EpochRow& row) {
  return Json::array({row.epoch, row.train_loss, row.validation_loss, row.validation_mae,
                      row.validation_pearson, row.validation_icc2, row.validation_score_sd,
                      row.learning_rate, row.gradient_norm, row.seconds, row.is_best});
}

EpochRow row_from_json(const Json& value) {
  EpochRow row;
  row.epoch = value.at(0).get<std::int64_t>();
  double* const numbers[] = {
      &row.train_loss,         &row.validation_loss, &row.validation_mae,
      &row.validation_pearson, &row.validation_icc2, &row.validation_score_sd,
      &row.learning_rate,      &row.gradient_norm,   &row.seconds};
  for (std::size_t i = 0; i < std::size(numbers); ++i) *numbers[i] = number(value.at(i + 1));
  row.is_best = value.at(10).get<bool>();
  return row;
}

const char* dtype_of(const torch::Tensor& tensor) {
  if (tensor.scalar_type() == torch::kFloat) return "F32";
  if (tensor.scalar_type() == torch::kDouble) return "F64";
  EPVS_ASSERT(tensor.scalar_type() == torch::kInt64);
  return "I64";
}

torch::ScalarType type_of(const std::string& dtype, const fs::path& path) {
  if (dtype == "F32") return torch::kFloat;
  if (dtype == "F64") return torch::kDouble;
  if (dtype == "I64") return torch::kInt64;
  throw core::InputError(fmt::format("{}: unexpected dtype {}", path.string(), dtype));
}

void write_tensors(const fs::path& path, const NamedTensors& named) {
  std::vector<torch::Tensor> tensors;
  std::vector<models::TensorToWrite> entries;
  for (const auto& [name, tensor] : named) {
    tensors.push_back(tensor.detach().to(torch::kCPU).contiguous());
    entries.push_back(
        {name, dtype_of(tensors.back()), tensors.back().sizes().vec(), tensors.back().data_ptr()});
  }
  models::write_safetensors(path, entries, {{"format", "pt"}});
}

NamedTensors read_tensors(const fs::path& path) {
  const models::SafetensorsHeader header = models::read_safetensors_header(path);
  NamedTensors named;
  for (const models::TensorEntry& entry : header.tensors) {
    torch::Tensor tensor = torch::empty(entry.shape, type_of(entry.dtype, path));
    models::read_safetensors_data(path, header, entry, tensor.data_ptr());
    named.emplace_back(entry.name, tensor);
  }
  return named;
}

bool is_complete(const fs::path& folder) {
  if (!fs::exists(folder / kDone)) return false;
  try {
    const Json done = core::read_json(folder / kDone);
    for (const auto& [name, size] : done.at("bytes").items()) {
      if (!fs::exists(folder / name)) return false;
      if (fs::file_size(folder / name) != size.get<std::uintmax_t>()) return false;
    }
  } catch (const std::exception&) {
    return false;  // a DONE that cannot be read marks nothing as done
  }
  return true;
}

fs::path beside(const fs::path& folder, const char* ending) {
  return folder.parent_path() / fmt::format(".{}{}", folder.filename().string(), ending);
}

Json read_state_file(const fs::path& checkpoint) {
  const Json document = core::read_json(checkpoint / kState);
  const int version = document.value("format_version", 0);
  if (version != kFormatVersion) {
    throw core::InputError(fmt::format("{}: checkpoint format {}, but this epvs reads {}",
                                       (checkpoint / kState).string(), version, kFormatVersion),
                           "train on with the epvs that wrote it, or anew with --force");
  }
  return document;
}

}  // namespace

void TrainerState::begin_next_epoch(const EpochRow& row) {
  if (!residuals.empty()) tukey_scale = median_absolute_deviation(residuals);
  residuals.clear();
  history.push_back(row);
  epoch = row.epoch;
  batch = 0;
  loss_sum = norm_sum = epoch_seconds = 0;
  loss_scans = updates = 0;
}

Json TrainerState::to_json() const {
  Json rows = Json::array();
  for (const EpochRow& row : history) rows.push_back(row_to_json(row));
  return Json{{"epoch", epoch},
              {"batch", batch},
              {"loss_sum", loss_sum},
              {"loss_scans", loss_scans},
              {"norm_sum", norm_sum},
              {"updates", updates},
              {"epoch_seconds", epoch_seconds},
              {"tukey_scale", tukey_scale},
              {"residuals", residuals},
              {"best_epoch", best_epoch},
              {"best_value", best_value},
              {"epochs_without_improvement", epochs_without_improvement},
              {"plateau", plateau.to_json()},
              {"finished", finished},
              {"history", rows}};
}

TrainerState TrainerState::from_json(const Json& document, const std::string& source) {
  try {
    TrainerState state;
    document.at("epoch").get_to(state.epoch);
    document.at("batch").get_to(state.batch);
    document.at("loss_sum").get_to(state.loss_sum);
    document.at("loss_scans").get_to(state.loss_scans);
    document.at("norm_sum").get_to(state.norm_sum);
    document.at("updates").get_to(state.updates);
    document.at("epoch_seconds").get_to(state.epoch_seconds);
    document.at("tukey_scale").get_to(state.tukey_scale);
    document.at("residuals").get_to(state.residuals);
    document.at("best_epoch").get_to(state.best_epoch);
    document.at("best_value").get_to(state.best_value);
    document.at("epochs_without_improvement").get_to(state.epochs_without_improvement);
    state.plateau = Plateau::from_json(document.at("plateau"));
    document.at("finished").get_to(state.finished);
    for (const Json& row : document.at("history")) state.history.push_back(row_from_json(row));
    return state;
  } catch (const Json::exception& error) {
    throw core::InputError(fmt::format("{}: no training state: {}", source, error.what()));
  }
}

void save_checkpoint(const fs::path& folder, const models::Network& network,
                     const models::WeightsMetadata& metadata, const Optimizer* optimizer,
                     const TrainerState& state, const Json& identity,
                     const NamedTensors& scaled_unit) {
  const fs::path fresh = beside(folder, ".new");
  const fs::path old = beside(folder, ".old");
  fs::remove_all(fresh);
  fs::create_directories(fresh);
  models::save_weights(fresh / kWeights, network, metadata);
  std::vector<const char*> names = {kWeights, kState};
  if (optimizer != nullptr) {
    write_tensors(fresh / kOptimizer, optimizer->state());
    names.push_back(kOptimizer);
  }
  if (!scaled_unit.empty()) {
    write_tensors(fresh / kScaledUnit, scaled_unit);
    names.push_back(kScaledUnit);
  }
  core::write_json(
      fresh / kState,
      Json{{"format_version", kFormatVersion}, {"identity", identity}, {"state", state.to_json()}});
  Json bytes = Json::object();
  for (const char* name : names) bytes[name] = fs::file_size(fresh / name);
  core::write_json(fresh / kDone, Json{{"bytes", bytes}});
  // Folders cannot replace each other in one step, so the old one waits under another name, where
  // find_checkpoint looks too.
  if (fs::exists(folder)) {
    if (is_complete(folder)) {
      fs::remove_all(old);
      fs::rename(folder, old);
    } else {
      fs::remove_all(folder);
    }
  }
  fs::rename(fresh, folder);
  fs::remove_all(old);
}

std::optional<fs::path> find_checkpoint(const fs::path& folder) {
  for (const fs::path& candidate : {folder, beside(folder, ".new"), beside(folder, ".old")}) {
    if (is_complete(candidate)) return candidate;
  }
  return std::nullopt;
}

TrainerState read_checkpoint_state(const fs::path& checkpoint) {
  const Json document = read_state_file(checkpoint);
  return TrainerState::from_json(document.at("state"), (checkpoint / kState).string());
}

Json read_checkpoint_identity(const fs::path& checkpoint) {
  return read_state_file(checkpoint).at("identity");
}

NamedTensors read_scaled_unit(const fs::path& checkpoint) {
  if (!fs::exists(checkpoint / kScaledUnit)) return {};
  return read_tensors(checkpoint / kScaledUnit);
}

void load_checkpoint(const fs::path& checkpoint, models::Network& network, Optimizer& optimizer) {
  optimizer.load_state(read_tensors(checkpoint / kOptimizer));
  models::load_weights_into(checkpoint / kWeights, network);
}

}  // namespace epvs::train
