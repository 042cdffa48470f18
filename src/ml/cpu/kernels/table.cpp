// table.cpp - fills the table of the variant being compiled.

#include "ml/cpu/kernels/row_ops.h"

#define CRIA_STRING2(x) #x
#define CRIA_STRING(x) CRIA_STRING2(x)

namespace cria::ml::cpu::CRIA_ISA {

void fill_table(Kernels& table) noexcept {
  table.name = CRIA_STRING(CRIA_ISA);
  set_float_matmuls(table);
  set_integer_matmuls(table);
  table.matmul[static_cast<int>(PanelKind::kBF16)] = matmul_bf16;
  table.bound_planes = bound_planes;
  table.multiply_planes = multiply_planes;
  table.sum_low_bits = sum_low_bits;
  table.join_planes = join_planes;
  table.quantize = quantize;
  table.rms_norm = rms_norm;
  table.layer_norm = layer_norm;
  table.add = add;
  table.mul = mul;
  table.scale = scale;
  table.silu = silu;
  table.gelu = gelu;
  table.gelu_erf = gelu_erf;
  table.softcap = softcap;
  table.rope = rope;
  table.attention_f16 = attention_f16;
  table.attention_f32 = attention_f32;
  table.attention_q8_0 = attention_q8_0;
  table.merge_attention = merge_attention;
  table.to_half = to_half;
  table.probe_int8 = probe_int8;
  table.probe_float = table.probe_bf16 = probe_float;
  table.probe_read = probe_read;
}

}  // namespace cria::ml::cpu::CRIA_ISA
