#include "train/resolve_recipe.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/text.h"
#include "models/weights_metadata.h"

namespace epvs::train {

namespace {

void set_input(const data::CohortReader& cohort, const data::Examples& examples, Recipe& recipe) {
  const data::Shape& crop = cohort.options(examples.region).crop_voxels;
  recipe.train.region = examples.region;
  recipe.network.input_zyx = {crop[2], crop[1], crop[0]};
}

}  // namespace

void resolve_recipe(const data::CohortReader& cohort, const data::Examples& examples,
                    Recipe& recipe, core::Log& log) {
  set_input(cohort, examples, recipe);
  models::NetworkOptions& network = recipe.network;
  network.residual = network.concatenates() ? models::Residual::kConcat
                     : network.architecture == models::Architecture::kMedia2019
                         ? models::Residual::kAuto
                         : models::Residual::kNone;
  if (recipe.train.bias_init_from_labels) network.bias_init = examples.mean_label();
  if (recipe.train.pool_scale_from_voxels) {
    const auto [z, y, x] = network.input_zyx;
    network.pool_scale = static_cast<double>(z * y * x) / 1000.0;
  }
  const models::PaperInput paper =
      models::compare_with_paper(network.architecture, cohort.options(examples.region));
  if (paper.differences.empty()) return;
  log.warning("{} of {} had other inputs ({}): {}; epvs prepare --preset {} makes them",
              core::to_text(network.architecture), paper.paper, "the paper's and the cohort's",
              core::join(paper.differences, "; "), paper.preset);
}

void resolve_recipe_for_weights(const std::filesystem::path& weights,
                                const data::CohortReader& cohort, const data::Examples& examples,
                                Recipe& recipe, core::ParameterTable& table, core::Log& log) {
  const models::WeightsMetadata metadata = models::read_weights_metadata(weights);
  core::Json network = metadata.network.to_json();
  // These are no shape: the weights bring their own.
  for (const char* name : {"init", "bias_init", "pool_scale", "input_zyx"}) network.erase(name);
  table.require_equal({{"network", network}}, weights.string());
  set_input(cohort, examples, recipe);
  models::require_fit(metadata, weights, cohort.options(examples.region), cohort.path(), log);
  if (recipe.train.bias_init_from_labels || recipe.train.pool_scale_from_voxels) {
    log.info("--init: bias and pool_scale are those of the weights");
  }
  recipe.network.pool_scale = metadata.network.pool_scale;
  recipe.network.bias_init = metadata.network.bias_init;
}

}  // namespace epvs::train
