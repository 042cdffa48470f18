# The CPU kernels, once per instruction set; src/ml/cpu/kernels.cpp chooses one table at run time.
cria_kernel_variant(scalar)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  cria_kernel_variant(avx2 -mavx2 -mfma -mf16c)
  # GCC 12 reports its own AVX-512 header as uninitialized (GCC bug 105593).
  set(avx512 -Wno-uninitialized $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> -mavx512f -mavx512bw
    -mavx512vl -mavx512dq -mavx512vnni -mfma -mf16c -mprefer-vector-width=512)
  cria_kernel_variant(avx512 ${avx512})
  cria_kernel_variant(avx512_bf16 FOLDER bf16 ${avx512} -mavx512bf16)
  cria_kernel_variant(amx FOLDER amx ${avx512})
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  cria_kernel_variant(neon -DCRIA_NEON)
  cria_kernel_variant(neon_dot -DCRIA_NEON -march=armv8.2-a+dotprod)
endif()
# Its loops over 16 rows are vector instructions only then.
set_source_files_properties(src/ml/cpu/packing.cpp src/ml/cpu/planes.cpp PROPERTIES COMPILE_OPTIONS ${CRIA_KERNEL_OPTIMIZATION})
