#include "train/plateau.h"

#include <algorithm>
#include <cmath>

namespace epvs::train {

void Plateau::see(double value, const TrainOptions& options) {
  if (value < best - options.min_delta) {
    best = value;
    bad_epochs = 0;
    return;
  }
  if (++bad_epochs <= options.plateau_epochs) return;
  factor = std::max(factor * options.step_factor, options.final_factor);
  bad_epochs = 0;
}

core::Json Plateau::to_json() const {
  return {{"factor", factor},
          {"best", std::isfinite(best) ? core::Json(best) : core::Json()},
          {"bad_epochs", bad_epochs}};
}

Plateau Plateau::from_json(const core::Json& document) {
  Plateau plateau;
  document.at("factor").get_to(plateau.factor);
  if (!document.at("best").is_null()) document.at("best").get_to(plateau.best);
  document.at("bad_epochs").get_to(plateau.bad_epochs);
  return plateau;
}

}  // namespace epvs::train
