// cmake/torch_test_pch.h: what every test that sees tensors includes anyway.
#pragma once
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
