#include "train/monitor/monitor.h"

#include "core/files.h"
#include "train/augmentation/preview.h"

namespace epvs::train {

Monitor::Monitor(const std::filesystem::path& folder, const std::vector<EpochRow>& history)
    : folder_(folder), writer_(folder) {
  for (const EpochRow& row : history) epoch(row);
}

void Monitor::epoch(const EpochRow& row) {
  writer_.scalar("loss/train", row.epoch, row.train_loss);
  writer_.scalar("loss/validation", row.epoch, row.validation_loss);
  writer_.scalar("validation/mae", row.epoch, row.validation_mae);
  writer_.scalar("validation/pearson", row.epoch, row.validation_pearson);
  writer_.scalar("validation/icc2", row.epoch, row.validation_icc2);
  writer_.scalar("validation/score_sd", row.epoch, row.validation_score_sd);
  writer_.scalar("optimiser/learning_rate", row.epoch, row.learning_rate);
  writer_.scalar("optimiser/gradient_norm", row.epoch, row.gradient_norm);
  writer_.scalar("seconds", row.epoch, row.seconds);
  writer_.flush();
}

void Monitor::weights(const models::Network& network, std::int64_t epoch) {
  for (const auto& item : network.named_parameters()) {
    const torch::Tensor values =
        item.value().detach().to(torch::kCPU, torch::kFloat).contiguous().view({-1});
    const float* data = values.data_ptr<float>();
    writer_.histogram("weights/" + item.key(), epoch, {data, data + values.numel()});
  }
  writer_.flush();
}

void Monitor::attention(models::Network& network, const torch::Tensor& volume,
                        const std::array<double, 3>& spacing_mm, std::int64_t epoch) {
  if (!network.has_attention()) return;
  const torch::NoGradGuard no_grad;
  const data::Picture picture = middle_slice(network.attention(volume), spacing_mm);
  const std::filesystem::path file = folder_ / ".attention.png";
  data::write_png(file, picture);
  writer_.image("attention", epoch, picture.width, picture.height, core::read_text(file));
  std::filesystem::remove(file);
  writer_.flush();
}

}  // namespace epvs::train
