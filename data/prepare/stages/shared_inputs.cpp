#include "data/prepare/stages/shared_inputs.h"

#include <fmt/format.h>

#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "data/formats/resample.h"
#include "data/prepare/registration/bias.h"
#include "data/prepare/registration/elastix.h"
#include "data/prepare/stages/read_scan.h"

namespace epvs::data {

namespace {

Atlas read_atlas(const std::string& path, const SharedInputs& shared,
                 std::vector<std::string>& concerns) {
  core::require_exists(path, "the atlas");
  Volume<std::int32_t> atlas = read_label_image(path, shared.options.orientation(), &concerns);
  const std::string foreign = foreign_numbers_text(atlas, shared.table.source());
  if (!foreign.empty()) concerns.push_back(path + " has " + foreign);
  std::set<std::int64_t> numbers(atlas.voxels.begin(), atlas.voxels.end());
  numbers.erase(0);
  const std::vector<std::int64_t> labels(numbers.begin(), numbers.end());
  if (labels.empty()) throw core::InputError(fmt::format("the atlas {} has no labels", path));
  const double outside = fraction_outside_scan(atlas, labels, shared.template_scan->geometry);
  if (outside > 0.01) {
    throw core::InputError(fmt::format("{:.0f}% of the atlas {} lies outside the template {}",
                                       100 * outside, path, shared.options.template_scan.string()),
                           "an atlas must be drawn in the world space of its template");
  }
  return {path, std::make_shared<const Volume<std::int32_t>>(std::move(atlas))};
}

}  // namespace

SharedInputs read_shared_inputs(const PrepareOptions& options) {
  SharedInputs shared{options, options.region_table(), options.white_matter_table(), {}, {}, {},
                      {}};
  shared.sources = core::Json::object();
  if (!options.transforms.empty()) {
    core::require_exists(options.transforms, "the folder of transforms");
  }
  if (options.bias_correction == BiasCorrection::kN4) require_bias_correction();
  if (options.registers() && options.transforms.empty()) {
    shared.sources["elastix"] = require_elastix();
  }
  if (!options.template_scan.empty()) {
    core::require_exists(options.template_scan, "the template");
    Scan scan = read_image(options.template_scan, options.orientation());
    for (const std::string& concern : scan.header.concerns) {
      shared.concerns.push_back(options.template_scan.filename().string() + ": " + concern);
    }
    shared.template_scan = std::move(scan.image);
    shared.sources["template"] = core::sha256_file(options.template_scan);
  }
  shared.sources["atlases"] = core::Json::array();
  for (const std::string& path : options.atlases) {
    shared.atlases.push_back(read_atlas(path, shared, shared.concerns));
    shared.sources["atlases"].push_back(core::sha256_file(path));
  }
  return shared;
}

}  // namespace epvs::data
