# cmake --install and the .deb.
include(GNUInstallDirs)
if(TARGET tokwatt)
  install(TARGETS tokwatt RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tokwatt)
set(CPACK_PACKAGE_CONTACT "the tokwatt authors <tokwatt@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Sizing and cost planner for running language models at home or at work")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
include(CPack)
