#include "tests/cli/infer_fixture.h"
#include "models/torch.h"

#include "core/random.h"
#include "data/cohort/source_space.h"
#include "data/formats/nifti.h"
#include "models/weights.h"

namespace epvs::tests {

namespace {

constexpr data::Shape kCrop = {12, 10, 8};
constexpr data::Shape kOrigin = {3, 2, 1};

}  // namespace

models::NetworkOptions small_network(models::Architecture architecture) {
  models::NetworkOptions options;
  options.architecture = architecture;
  options.first_features = 4;
  options.init = models::Init::kHe;
  options.bias_init = 3.0;
  options.input_zyx = {kCrop[2], kCrop[1], kCrop[0]};
  if (architecture != models::Architecture::kMedia2019) {
    options.pool_scale = 5.0;
  } else {
    options.blocks = 1;
    options.convolutions_per_block = 1;
    options.trailing_convolution = false;
    options.fully_connected = {6};
  }
  return options;
}

data::PreprocessingOptions small_preprocessing() {
  data::PreprocessingOptions options;
  options.crop_voxels = {kCrop[0], kCrop[1], kCrop[2]};
  options.label_source = "freesurfer";
  return options;
}

void write_weights(const std::filesystem::path& path, const models::NetworkOptions& options,
                   std::uint64_t seed, bool float64,
                   const data::PreprocessingOptions& preprocessing) {
  const auto network = models::make_network(options, seed);
  if (float64) network->to(torch::kDouble);
  models::WeightsMetadata metadata;
  metadata.preprocessing = preprocessing;
  metadata.target = "rater1";
  models::save_weights(path, *network, metadata);
}

double score_of(const std::filesystem::path& weights, const std::vector<float>& volume) {
  const models::LoadedNetwork loaded = models::load_weights(weights);
  std::vector<float> copy = volume;
  const auto [z, y, x] = loaded.metadata.network.input_zyx;
  const torch::Tensor input = torch::from_blob(copy.data(), {1, 1, z, y, x})
                                  .to(loaded.network->parameters().front().scalar_type());
  const torch::NoGradGuard no_grad;
  return loaded.network->forward(input).item<double>();
}

void write_cohort(const std::filesystem::path& path, const std::filesystem::path& scan,
                  const CohortPlan& plan) {
  data::Geometry source;
  source.shape = {20, 18, 10};
  source.affine.diagonal() << 0.5, 0.5, 0.8, 1.0;
  source.affine.col(3) << -5.0, -4.0, 3.0, 1.0;
  data::write_nifti(scan, data::Volume<float>(source, 1.0F));
  const data::ScanHeader header = data::read_header(scan);

  data::CohortWriter writer(path, {small_preprocessing()}, core::Json::object());
  std::vector<float> first;
  for (std::size_t n = 0; n < plan.participants.size(); ++n) {
    data::CohortRow row;
    row.participant_id = plan.participants[n];
    row.session_id = plan.session;
    data::set_source(row, header);
    row.roi.shape = kCrop;
    row.roi.affine = source.affine;
    row.roi.affine.col(3).head<3>() =
        source.to_world({static_cast<double>(kOrigin[0]), static_cast<double>(kOrigin[1]),
                         static_cast<double>(kOrigin[2])});
    row.crop_origin = kOrigin;
    row.source_path = scan.string();
    row.label_source = "freesurfer";
    core::Random random(n + 1);
    data::CohortVolumes volumes;
    const auto voxels = static_cast<std::size_t>(kCrop[0] * kCrop[1] * kCrop[2]);
    for (std::size_t i = 0; i < voxels; ++i) {
      volumes.roi.push_back(static_cast<float>(random.uniform()));
    }
    if (n == 0) first = volumes.roi;
    if (n == 1 && plan.second_is_flipped) {
      for (std::size_t i = 0; i < voxels; ++i) {
        const std::size_t x = i % static_cast<std::size_t>(kCrop[0]);
        volumes.roi[i] = first[i - x + static_cast<std::size_t>(kCrop[0]) - 1 - x];
      }
    }
    volumes.hard.assign(voxels, 1);
    volumes.soft.assign(voxels, 1.0F);
    writer.append("bg", row, volumes);
  }
  writer.finish();
}

}  // namespace epvs::tests
