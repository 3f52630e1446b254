-- Lmod modulefile. Installed as PREFIX/share/refrain/modulefiles/refrain/VERSION.lua, it finds PREFIX by its own place:
--
--   module use PREFIX/share/refrain/modulefiles
--   module load refrain
--
-- An MPI that the programs were built with is loaded before it, as env/site.sh does.
local here = "/share/refrain/modulefiles/"
local prefix = myFileName():match("^(.*)" .. here:gsub("%p", "%%%0"))
if not prefix then
  LmodError("refrain: this modulefile works from an installed tree (cmake --install build --prefix PREFIX)")
end

whatis("Name: refrain")
whatis("Version: " .. myModuleVersion())
whatis("Description: multilingual refusal alignment of language models: DPO training, answers, judges, reports")
help("Programs refrain-*, each with --help. Slurm scripts: $REFRAIN_HOME/slurm; site settings: $REFRAIN_HOME/env/site.sh")

prepend_path("PATH", pathJoin(prefix, "bin"))
setenv("REFRAIN_HOME", pathJoin(prefix, "share/refrain"))
