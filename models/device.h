// --device as Torch understands it. A light header: no torch/torch.h.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace epvs::models {

/// auto (the first GPU if there is one, else the CPU), cpu, cuda or cuda:N. Throws UsageError for
/// other texts and for a GPU that is not there, naming how many there are.
c10::Device resolve_device(const std::string& text);

}  // namespace epvs::models
