// What the unit tests do not each compile again.
#define HOLDFAST_SEPARATE_HERE
#include <holdfast/separate.hpp>
