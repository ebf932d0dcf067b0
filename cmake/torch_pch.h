// cmake/torch_pch.h: what every file that sees tensors includes anyway.
#pragma once
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/generated/variable_factories.h>

#include <nlohmann/json.hpp>
