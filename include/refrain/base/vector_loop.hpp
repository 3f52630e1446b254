#pragma once

/// Marks a function whose loops are to be vector code. Distributions build for the oldest x86-64: a second copy of it is
/// for CPUs with AVX2 and FMA, chosen when the program starts. Where products may not be fused into sums, the file is
/// compiled with -ffp-contract=off.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define REFRAIN_VECTOR_LOOP __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define REFRAIN_VECTOR_LOOP
#endif
