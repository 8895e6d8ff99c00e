// `epvs export`: weights in formats of other frameworks.
#pragma once

#include "models/export_usage.h"

namespace epvs::models {

class ExportCommand : public ExportUsage {
 public:
  void run(core::Context& context) override;
};

}  // namespace epvs::models
