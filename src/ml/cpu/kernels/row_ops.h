// row_ops.h - the kernels of this folder's files, for table.cpp and for each other.
#pragma once

#include "ml/cpu/kernels.h"

namespace cria::ml::cpu::CRIA_ISA {

void quantize(const float* x, int64_t k, uint8_t* group, int64_t columns, int64_t column) noexcept;
void rms_norm(float* y, const float* x, const float* weight, int64_t n, float eps) noexcept;
void layer_norm(float* y, const float* x, int64_t n, float eps) noexcept;
void add(float* y, const float* a, const float* b, int64_t n) noexcept;
void mul(float* y, const float* a, const float* b, int64_t n) noexcept;
void scale(float* y, const float* x, float factor, int64_t n) noexcept;
void silu(float* y, const float* x, int64_t n) noexcept;
void gelu(float* y, const float* x, int64_t n) noexcept;
void gelu_erf(float* y, const float* x, int64_t n) noexcept;
void softcap(float* y, const float* x, float cap, int64_t n) noexcept;
void rope(float* y, const float* x, const RopeArgs& args) noexcept;
void to_half(uint16_t* y, const float* x, int64_t n) noexcept;
void bound_planes(const PlanesArgs& args) noexcept;
void multiply_planes(const PlanesArgs& args) noexcept;
void sum_low_bits(const uint8_t* low, int64_t k, const uint8_t* column, float* sums) noexcept;
void join_planes(const uint8_t* high, const uint8_t* low, int64_t k, uint8_t* panel) noexcept;
void attention_f16(const AttentionArgs& args) noexcept;
void attention_f32(const AttentionArgs& args) noexcept;
void attention_q8_0(const AttentionArgs& args) noexcept;
void merge_attention(float* out, int64_t n, const float* sums, int64_t stride, const float* maxima,
                     const float* totals, int64_t parts) noexcept;
int64_t probe_int8(int64_t rounds) noexcept;
int64_t probe_float(int64_t rounds) noexcept;
void probe_read(const uint8_t* p, int64_t bytes) noexcept;
void matmul_q8_0(const MatmulArgs& args) noexcept;
void matmul_bf16(const MatmulArgs& args) noexcept;
// Fills the rows of table.matmul that the file defines.
void set_float_matmuls(Kernels& table) noexcept;
void set_integer_matmuls(Kernels& table) noexcept;

}  // namespace cria::ml::cpu::CRIA_ISA
