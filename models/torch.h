// What the rooms use of Torch. torch/torch.h has more (layers, data sets, optimisers), which costs
// every file twice the time.
#pragma once

#include <torch/autograd.h>
#include <torch/cuda.h>
#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/utils.h>
