#pragma once
#include "exec/warp.hpp"
