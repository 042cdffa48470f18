#include "ml/reference/weights.h"

#include "base/error.h"

#include <algorithm>

namespace cria::ml::reference {

std::vector<float> load_floats(const WeightSource& source, int64_t elements) {
  const quant::DTypeInfo& type = quant::info(source.dtype);
  if (type.dequantize == nullptr)
    fail(ErrorKind::kUnsupported, "{}: type {} cannot be computed with", source.name, type.name);
  if (quant::row_bytes(source.dtype, elements) != source.bytes)
    fail(ErrorKind::kInvalidInput, "{}: {} bytes do not hold {} elements of {}", source.name,
         source.bytes, elements, type.name);

  std::vector<float> values(static_cast<size_t>(elements));
  constexpr int64_t kChunkBlocks = 1 << 15;  // bounds the copy of the stored bytes
  std::vector<std::byte> stored;
  const int64_t blocks = elements / type.block_elements;
  for (int64_t first = 0; first < blocks; first += kChunkBlocks) {
    const int64_t count = std::min(kChunkBlocks, blocks - first);
    stored.resize(static_cast<size_t>(count * type.block_bytes));
    source.file->read_at(source.offset + first * type.block_bytes, stored);
    type.dequantize(stored.data(), values.data() + first * type.block_elements,
                    count * type.block_elements);
  }
  return values;
}

}  // namespace cria::ml::reference
