# One library per folder, linked in the ladder's direction only:
#   cli -> trainer -> expand -> eval -> tokenizer, model -> core
find_program(CCACHE ccache)
if(CCACHE)
  # Results serve every checkout: paths below the source folder count as relative, and the precompiled header is known by
  # its .gch.sum (written below), not by its bytes, which differ from build to build.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1 ${CCACHE})
endif()

add_library(polygraft_options INTERFACE)
target_include_directories(polygraft_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(polygraft_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Werror;-Wno-missing-field-initializers>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-fpch-preprocess>
  # In a unity build every source file is an included one, whose anonymous types g++ takes for a header's.
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>,$<BOOL:${CMAKE_UNITY_BUILD}>>:-Wno-subobject-linkage>
  # g++ 12 at -O3 sees overlapping copies in `"text" + string` (GCC bug 105651).
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-restrict>)
if(POLYGRAFT_SANITIZE)
  target_compile_options(polygraft_options INTERFACE -fsanitize=address,undefined -fno-omit-frame-pointer
    -Wno-maybe-uninitialized)  # false under the sanitizers of g++ 12
  target_link_options(polygraft_options INTERFACE -fsanitize=address,undefined)
endif()
if(POLYGRAFT_TIDY)
  # clang reads neither g++'s precompiled header nor all of its warning names.
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)
  set(CMAKE_CXX_CLANG_TIDY clang-tidy --extra-arg=-Wno-unknown-warning-option --extra-arg=-fno-openmp --quiet)
endif()

# polygraft_library(NAME [TORCH] DEPENDS targets...): every .cpp below the folder, as target polygraft_NAME.
function(polygraft_library name)
  cmake_parse_arguments(arg "TORCH" "" "DEPENDS;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  foreach(pattern ${arg_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  if(NOT sources)
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/empty.cpp "")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/empty.cpp)
  endif()
  add_library(polygraft_${name} STATIC ${sources})
  target_link_libraries(polygraft_${name} PUBLIC polygraft_options ${arg_DEPENDS})
  if(arg_TORCH)
    polygraft_use_torch(polygraft_${name})
  endif()
endfunction()

# polygraft_precompiled_header(NAME HEADER): an object library that carries cmake/HEADER, made once for all that reuse it.
function(polygraft_precompiled_header name header)
  file(WRITE ${CMAKE_BINARY_DIR}/${name}.cpp "// carries the precompiled header\n")
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PUBLIC polygraft_options polygraft_torch)
  target_precompile_headers(${name} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/${header})
  set_target_properties(${name} PROPERTIES CXX_CLANG_TIDY "")
  # What decides the header's content besides the compiler and its flags, which ccache looks at anyway.
  set(file ${CMAKE_SOURCE_DIR}/cmake/${header})
  set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file} ${torch_root}/version.py)
  file(SHA256 ${file} header_hash)
  file(SHA256 ${torch_root}/version.py torch_hash)
  get_target_property(folder ${name} BINARY_DIR)
  file(WRITE ${folder}/CMakeFiles/${name}.dir/cmake_pch.hxx.gch.sum "${header_hash} ${torch_hash}\n")
endfunction()

# ATen's headers cost most of a compilation: one precompiled header serves every target that sees tensors, and one with
# Catch2 their tests.
function(polygraft_use_torch target)  # [torch_test_pch]
  set(header torch_pch)
  if(ARGC GREATER 1)
    set(header ${ARGV1})
  endif()
  if(NOT TARGET polygraft_${header})
    polygraft_precompiled_header(polygraft_${header} ${header}.h)
  endif()
  target_link_libraries(${target} PUBLIC polygraft_torch)
  target_precompile_headers(${target} REUSE_FROM polygraft_${header})
  # g++ 12 at -O3 sees overflows inside std::string's own append.
  target_compile_options(${target} PRIVATE
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-stringop-overflow;-Wno-array-bounds>)
endfunction()
