#include "core/error.h"
#include "data/prepare/registration/bias.h"

namespace epvs::data {

void require_bias_correction() {
  throw core::UsageError("this epvs was built without ITK: there is no --bias-correction n4",
                         "leave it out, or build with ITK (Debian: libinsighttoolkit5-dev)");
}

Volume<float> correct_bias(const Volume<float>& scan, const BiasOptions& /*options*/) {
  require_bias_correction();
  return scan;
}

}  // namespace epvs::data
