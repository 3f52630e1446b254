# What stands beside the programs in an installed tree. share/refrain is there what the source folder is here: it holds
# slurm/, h5schemas/, env/ for the site's settings, and a folder of data files for each module (refrain_module).
set(share ${CMAKE_INSTALL_DATADIR}/refrain)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/slurm ${PROJECT_SOURCE_DIR}/h5schemas DESTINATION ${share}
  USE_SOURCE_PERMISSIONS)
install(FILES ${PROJECT_SOURCE_DIR}/env/site.sh.example DESTINATION ${share}/env)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/env/sites DESTINATION ${share}/env)
install(FILES ${PROJECT_SOURCE_DIR}/env/modules/refrain.lua DESTINATION ${share}/modulefiles/refrain
  RENAME ${PROJECT_VERSION}.lua)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR})
