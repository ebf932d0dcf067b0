# The preset `cuda`: nvcc, libtorch_cuda.so and NCCL out of the torch wheel and its companions.
# As on the CPU side, imported libraries instead of find_package(Torch): that one runs a probe program which fails with
# CMake 3.25 and C++20 unless TORCH_CUDA_ARCH_LIST is set, and drags in the toolkit's own NCCL.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 100a-real)  # A100; H100 and H200; B200
endif()
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(POLYGRAFT_NVCC nvcc HINTS /usr/local/cuda/bin)
  if(NOT POLYGRAFT_NVCC)
    message(FATAL_ERROR "POLYGRAFT_CUDA is on, and there is no nvcc on PATH or in /usr/local/cuda/bin.\n"
                        "Install a CUDA 13 toolkit, name its compiler by CUDACXX, or use the preset `release`.")
  endif()
  set(CMAKE_CUDA_COMPILER ${POLYGRAFT_NVCC})
endif()
# The wheel's libcudart serves LibTorch and our kernels alike: one CUDA runtime in the process.
set(CMAKE_CUDA_RUNTIME_LIBRARY None)
enable_language(CUDA)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")  # nvcc 12 has it; CMake 3.25 has not heard of it
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

set(nvidia_root ${POLYGRAFT_SITE_PACKAGES}/nvidia)
set(cuda_libraries
  ${torch_root}/lib/libtorch_cuda.so
  ${torch_root}/lib/libc10_cuda.so
  ${torch_root}/lib/libtorch.so
  ${nvidia_root}/nccl/lib/libnccl.so.2
  ${nvidia_root}/cu13/lib/libcudart.so.13)
foreach(library ${cuda_libraries})
  if(NOT EXISTS ${library})
    message(FATAL_ERROR "The CUDA build needs '${library}', which is missing.\nRun `bash cmake/install.sh --cuda`.")
  endif()
endforeach()

add_library(polygraft_torch_cuda INTERFACE)
# The wheel's nccl.h goes first: the toolkit may bring an older one, without symbols that libtorch_cuda.so wants.
target_include_directories(polygraft_torch_cuda SYSTEM BEFORE INTERFACE
  ${nvidia_root}/nccl/include ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
target_compile_definitions(polygraft_torch_cuda INTERFACE USE_C10D_NCCL)
target_link_libraries(polygraft_torch_cuda INTERFACE
  -Wl,--no-as-needed ${cuda_libraries} -Wl,--as-needed polygraft_torch MPI::MPI_CXX)
# libtorch_cuda.so finds its own companions only through the linker's search while linking, and through rpath later.
foreach(folder nccl cudnn cusparselt nvshmem)
  target_link_options(polygraft_torch_cuda INTERFACE
    -Wl,-rpath,${nvidia_root}/${folder}/lib -Wl,-rpath-link,${nvidia_root}/${folder}/lib)
endforeach()

# Warnings are errors in device code too; what nvcc's front end says of LibTorch's headers is theirs (SYSTEM).
target_compile_options(polygraft_options INTERFACE
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra;--Werror=all-warnings>)
