// From what a recipe says to what a training uses: region, input size, the network of --init, the
// start of the output.
#pragma once

#include <filesystem>

#include "core/log.h"
#include "data/cohort/cohort.h"
#include "data/cohort/examples.h"
#include "train/options.h"

namespace epvs::train {

/// Without --init: the size of the input, and the start of the last bias and the constant of the
/// pooling where the recipe takes them from the data. Warns when the network of a paper is given
/// other inputs than in that paper.
void resolve_recipe(const data::CohortReader& cohort, const data::Examples& examples,
                    Recipe& recipe, core::Log& log);

/// With --init: the network is that of the weights; what the recipe leaves out is taken from them.
/// `table` holds the parameters of `recipe`. Throws core::UsageError naming every parameter of the
/// network that the recipe states otherwise, with both values, and core::InputError for a cohort
/// that was prepared otherwise; warns of another source of labels.
void resolve_recipe_for_weights(const std::filesystem::path& weights,
                                const data::CohortReader& cohort, const data::Examples& examples,
                                Recipe& recipe, core::ParameterTable& table, core::Log& log);

}  // namespace epvs::train
