# Installs the headers, both libraries and the package that find_package(flash_kda) reads.
include(CMakePackageConfigHelpers)

install(TARGETS flash_kda flash_kda_static EXPORT flash_kdaTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/flash_kda DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/flash_kda)
install(EXPORT flash_kdaTargets NAMESPACE flash_kda:: DESTINATION ${package_folder})
configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/flash_kdaConfig.cmake.in
  ${PROJECT_BINARY_DIR}/flash_kdaConfig.cmake INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/flash_kdaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/flash_kdaConfig.cmake
              ${PROJECT_BINARY_DIR}/flash_kdaConfigVersion.cmake DESTINATION ${package_folder})
