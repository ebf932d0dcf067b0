# LibTorch out of the torch wheel. The CPU build needs no CUDA toolkit and no find_package(Torch):
# libtorch_cpu.so and libc10.so suffice, with libcudart and libcupti (small wheels) beside them at run time.
if(NOT POLYGRAFT_VENV)
  if(DEFINED ENV{XDG_CACHE_HOME})
    set(POLYGRAFT_VENV $ENV{XDG_CACHE_HOME}/polygraft/venv)
  else()
    set(POLYGRAFT_VENV $ENV{HOME}/.cache/polygraft/venv)
  endif()
endif()
file(GLOB POLYGRAFT_SITE_PACKAGES ${POLYGRAFT_VENV}/lib/python3*/site-packages)
set(torch_root ${POLYGRAFT_SITE_PACKAGES}/torch)
if(NOT EXISTS ${torch_root}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "No LibTorch below '${POLYGRAFT_VENV}' (looked for ${torch_root}/lib/libtorch_cpu.so).\n"
                      "Run `bash cmake/install.sh`, or pass -DPOLYGRAFT_VENV=/path/to/venv that has torch 2.15.0.")
endif()

add_library(polygraft_torch INTERFACE)
target_include_directories(polygraft_torch SYSTEM INTERFACE
  ${torch_root}/include ${torch_root}/include/torch/csrc/api/include)
set(torch_rpath
  ${torch_root}/lib
  ${POLYGRAFT_SITE_PACKAGES}/nvidia/cu13/lib)
target_link_libraries(polygraft_torch INTERFACE
  -Wl,--no-as-needed ${torch_root}/lib/libtorch_cpu.so ${torch_root}/lib/libc10.so -Wl,--as-needed Threads::Threads)
# at::parallel_for is a template in LibTorch's headers, and a plain loop unless its user is compiled with OpenMP. The
# runtime must be the one that LibTorch brings: two of them would be two sets of threads.
file(GLOB torch_openmp ${torch_root}/lib/libgomp*.so*)
list(LENGTH torch_openmp num_found)
if(NOT num_found EQUAL 1)
  message(FATAL_ERROR "Expected one OpenMP runtime ${torch_root}/lib/libgomp*.so*, found ${num_found}: '${torch_openmp}'.")
endif()
target_compile_options(polygraft_torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
target_link_libraries(polygraft_torch INTERFACE ${torch_openmp})
foreach(folder ${torch_rpath})
  target_link_options(polygraft_torch INTERFACE -Wl,-rpath,${folder} -Wl,-rpath-link,${folder})
endforeach()
