// `epvs infer`: scores, maps and detections of a cohort.
#pragma once

#include "infer/infer_usage.h"

namespace epvs::infer {

class InferCommand : public InferUsage {
 public:
  void run(core::Context& context) override;

 private:
  struct Job;
  void check_options(const core::Context& context) const;
};

}  // namespace epvs::infer
