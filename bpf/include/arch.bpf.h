/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Selects the file of the architecture. A new architecture needs a file of its own and a
 * vmlinux/<arch>/vmlinux.h.
 */
#if defined(__TARGET_ARCH_x86)
#include "arch_x86_64.bpf.h"
#elif defined(__TARGET_ARCH_arm64)
#include "arch_arm64.bpf.h"
#else
#error "this architecture is not supported yet: add bpf/include/arch_<name>.bpf.h"
#endif
