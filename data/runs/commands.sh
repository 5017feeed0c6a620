#!/usr/bin/env bash
# The commands behind the records in data/runs, one a line, in an order in which they can run.
# Written by `python -m dlmone_lite.maintain.write_results`. All of them take days of one core, so copy the
# lines you need. Networks without a folder are those of data/checkpoints; real/ holds the slices of QQP,
# Wiki-Auto and Quasar-T, a folder each, which are not part of the kit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Worlds: the networks
python -m dlmone_lite train --world paraphrase --seed 0 --steps 6000 --set ema=0.999 late_from=1800 late_share=0.5 weight_decay=0.03 --out runs/t2.safetensors --log runs/t2.jsonl --eval-every 3000 --half
python -m dlmone_lite train --world paraphrase --half --seed 1 --out runs/paraphrase-teacher-seed1.safetensors
python -m dlmone_lite train --world paraphrase --seed 1 --half --out runs/paraphrase-teacher-seed1.safetensors
python -m dlmone_lite train --world paraphrase --half --seed 2 --out runs/paraphrase-teacher-seed2.safetensors
python -m dlmone_lite train --world question --seed 0 --steps 6000 --set ema=0.999 late_from=1800 late_share=0.5 weight_decay=0.03 --eval-every 3000 --half --out runs/question-teacher.safetensors --log runs/question-teacher.jsonl
python -m dlmone_lite train --world simplify --seed 0 --steps 6000 --set ema=0.999 late_from=1800 late_share=0.5 weight_decay=0.03 --eval-every 3000 --half --out runs/simplify-teacher.safetensors --log runs/simplify-teacher.jsonl
python -m dlmone_lite distill --teacher paraphrase-teacher --recipe classroom --seed 1 --keep last --half --eval-every 1000 --eval-sources 64 --eval-samples 64 --save-every 500 --set precision=bfloat16 --out runs/paraphrase-student-seed1.safetensors --log runs/paraphrase-student-seed1.jsonl
python -m dlmone_lite distill --teacher paraphrase-teacher --recipe classroom --seed 2 --keep last --half --eval-every 1000 --eval-sources 64 --eval-samples 64 --save-every 500 --set precision=bfloat16 --out runs/paraphrase-student-seed2.safetensors --log runs/paraphrase-student-seed2.jsonl
python -m dlmone_lite distill --teacher runs/paraphrase-teacher-seed1.safetensors --seed 1 --warm-start 4000 --set0 keep=0.125 --stages 2 --steps 400 --set lr=2e-5 lr_psi=4e-4 psi_warmup=150 commitment=0.3 t_min=400 --steps2 400 --eval-every 200 --eval-sources 64 --eval-samples 64 --half --out runs/paraphrase-student-warm-seed1.safetensors --out-stage1 runs/paraphrase-student-seed1-stage1.safetensors --log runs/paraphrase-student-seed1.jsonl
python -m dlmone_lite distill --teacher runs/paraphrase-teacher-seed2.safetensors --warm-start 4000 --stages 2 --steps 400 --set lr=2e-5 psi_warmup=150 commitment=0.3 t_min=400 --eval-every 200 --eval-sources 64 --eval-samples 64 --half --seed 2 --out runs/paraphrase-student-warm-seed2.safetensors --out-stage1 runs/paraphrase-student-stage1-seed2.safetensors
python -m dlmone_lite distill --teacher paraphrase-teacher --seed 0 --warm-start 4000 --set0 keep=0.125 --stages 2 --steps 400 --set lr=2e-5 lr_psi=4e-4 psi_warmup=150 commitment=0.3 t_min=400 --steps2 400 --eval-every 200 --eval-sources 64 --eval-samples 64 --half --out runs/paraphrase-student.safetensors --out-stage1 runs/paraphrase-student-stage1.safetensors --log runs/paraphrase-student.jsonl
python -m dlmone_lite distill --teacher paraphrase-teacher --recipe classroom --keep last --half --eval-every 1000 --eval-sources 64 --eval-samples 64 --save-every 500 --set precision=bfloat16 --out runs/paraphrase-student.safetensors --log runs/paraphrase-student.jsonl
python -m dlmone_lite distill --teacher question-teacher --warm-start 8000 --stages 2 --steps 400 --set lr=2e-5 psi_warmup=150 commitment=0.3 t_min=400 --eval-every 400 --eval-sources 64 --eval-samples 64 --half --out runs/question-student.safetensors --out-stage1 runs/question-student-stage1.safetensors --log runs/question-student.jsonl
python -m dlmone_lite distill --teacher question-teacher --recipe classroom --keep last --half --eval-every 1000 --eval-sources 64 --eval-samples 64 --save-every 500 --set precision=bfloat16 --out runs/question-student.safetensors --log runs/question-student.jsonl
python -m dlmone_lite distill --teacher simplify-teacher --seed 0 --warm-start 4000 --set0 keep=0.125 --stages 2 --steps 400 --set lr=2e-5 lr_psi=4e-4 psi_warmup=150 commitment=0.3 t_min=400 --steps2 400 --eval-every 200 --eval-sources 64 --eval-samples 64 --half --out runs/simplify-student.safetensors --out-stage1 runs/simplify-student-stage1.safetensors --log runs/simplify-student.jsonl
python -m dlmone_lite distill --teacher simplify-teacher --recipe classroom --keep last --half --eval-every 1000 --eval-sources 64 --eval-samples 64 --save-every 500 --set precision=bfloat16 --out runs/simplify-student.safetensors --log runs/simplify-student.jsonl

# Worlds: evaluations, floors, speed, times to a goal
python -m dlmone_lite evaluate --exact paraphrase --steps 1,2,4,8,64 --json data/runs/steps/paraphrase-exact.json
python -m dlmone_lite evaluate --precision bfloat16 --checkpoint paraphrase-teacher --steps 2000 --sources 16 --samples 64 --batch-size 64 --json data/runs/paraphrase-teacher-2000.json
python -m dlmone_lite evaluate --precision bfloat16 --checkpoint runs/paraphrase-teacher-seed1.safetensors --steps 256 --batch-size 64 --json runs/paraphrase-teacher-seed1-256.json
python -m dlmone_lite evaluate --precision bfloat16 --checkpoint runs/paraphrase-teacher-seed1.safetensors --steps 64 --batch-size 64 --json data/runs/paraphrase-teacher-seed1.json
python -m dlmone_lite evaluate --precision bfloat16 --checkpoint runs/paraphrase-teacher-seed2.safetensors --steps 64,256 --batch-size 64 --json runs/paraphrase-teacher-seed2.json
python -m dlmone_lite evaluate --precision bfloat16 --checkpoint paraphrase-teacher --steps 64,256 --json data/runs/paraphrase-teacher.json
python -m dlmone_lite evaluate --checkpoint paraphrase-teacher --steps 16,32 --sources 64 --samples 64 --json data/runs/steps/paraphrase-teacher-more.json
python -m dlmone_lite evaluate --checkpoint paraphrase-teacher --steps 1,2,4,8 --precision bfloat16 --json data/runs/steps/paraphrase-teacher.json
python -m dlmone_lite evaluate --checkpoint runs/paraphrase-student-seed1.safetensors --json data/runs/paraphrase-student-seed1.json
python -m dlmone_lite evaluate --checkpoint runs/paraphrase-student-seed2.safetensors --json data/runs/paraphrase-student-seed2.json
python -m dlmone_lite evaluate --checkpoint runs/paraphrase-student-warm-seed1.safetensors --steps 1 --json data/runs/paraphrase-student-warm-seed1.json
python -m dlmone_lite evaluate --checkpoint runs/paraphrase-student-warm-seed2.safetensors --steps 1 --json data/runs/paraphrase-student-warm-seed2.json
python -m dlmone_lite evaluate --checkpoint paraphrase-student-warm --json data/runs/paraphrase-student-warm.json
python -m dlmone_lite evaluate --checkpoint paraphrase-student --json data/runs/paraphrase-student.json
python -m dlmone_lite evaluate --checkpoint question-teacher --steps 1,2,4,8,16,32,64 --sources 64 --samples 64 --json data/runs/steps/question-teacher.json
python -m dlmone_lite evaluate --checkpoint question-student-warm --json data/runs/question-student-warm.json
python -m dlmone_lite evaluate --checkpoint question-student --json data/runs/question-student.json
python -m dlmone_lite evaluate --checkpoint simplify-teacher --steps 1,2,4,8,16,32,64 --sources 64 --samples 64 --json data/runs/steps/simplify-teacher.json
python -m dlmone_lite evaluate --checkpoint simplify-student-warm --json data/runs/simplify-student-warm.json
python -m dlmone_lite evaluate --checkpoint simplify-student --json data/runs/simplify-student.json
python -m dlmone_lite evaluate --floor paraphrase-teacher --draws 2048 --json data/runs/paraphrase-teacher-floor.json
python -m dlmone_lite bench --teacher paraphrase-teacher --student paraphrase-student --steps 2,4,8,16,32,64,2000 --repeats 3 --json data/runs/paraphrase-speed.json
python -m dlmone_lite bench --teacher qqp-teacher --student qqp-student --corpus real/qqp --steps 2,4,8,16,32,2000 --repeats 3 --json data/runs/qqp-speed.json
python -m dlmone_lite bench --teacher quasar_t-teacher --student quasar_t-student --corpus real/quasar_t --steps 2,4,8,16,32,2000 --repeats 3 --json data/runs/quasar_t-speed.json
python -m dlmone_lite bench --teacher question-teacher --student question-student --steps 2,4,8,16,32,64,2000 --repeats 3 --json data/runs/question-speed.json
python -m dlmone_lite bench --teacher simplify-teacher --student simplify-student --steps 2,4,8,16,32,64,2000 --repeats 3 --json data/runs/simplify-speed.json
python -m dlmone_lite bench --teacher wiki_auto-teacher --student wiki_auto-student --corpus real/wiki_auto --steps 2,4,8,16,32,2000 --repeats 3 --json data/runs/wiki_auto-speed.json
python -m dlmone_lite bench --preset lite --repeats 10 --json data/runs/speed-lite.json
python -m dlmone_lite bench --preset paper --nfe 1,10 --json data/runs/speed-paper.json
python -m dlmone_lite train --world paraphrase --seed 0 --steps 1000 --time-to .92 --eval-every 100 --out runs/quick-teacher-0.safetensors --json data/runs/paraphrase-time-teacher-seed0.json
python -m dlmone_lite train --world paraphrase --seed 1 --steps 1000 --time-to .92 --eval-every 100 --out runs/quick-teacher-1.safetensors --json data/runs/paraphrase-time-teacher-seed1.json
python -m dlmone_lite train --world paraphrase --seed 2 --steps 1000 --time-to .92 --eval-every 100 --out runs/quick-teacher-2.safetensors --json data/runs/paraphrase-time-teacher-seed2.json
python -m dlmone_lite distill --world paraphrase --teacher runs/quick-teacher-0.safetensors --seed 0 --warm-start 1000 --set0 samples=32 --time-to .84 --eval-every 100 --eval-sources 64 --out runs/quick-student-0.safetensors --json data/runs/paraphrase-time-student-seed0.json
python -m dlmone_lite distill --world paraphrase --teacher runs/quick-teacher-1.safetensors --seed 1 --warm-start 1000 --set0 samples=32 --time-to .84 --eval-every 100 --eval-sources 64 --out runs/quick-student-1.safetensors --json data/runs/paraphrase-time-student-seed1.json
python -m dlmone_lite distill --world paraphrase --teacher runs/quick-teacher-2.safetensors --seed 2 --warm-start 1000 --set0 samples=32 --time-to .84 --eval-every 100 --eval-sources 64 --out runs/quick-student-2.safetensors --json data/runs/paraphrase-time-student-seed2.json

# The laboratory's sweeps
python -m dlmone_lite sweep anchors
python -m dlmone_lite sweep cause
python -m dlmone_lite sweep clinic
python -m dlmone_lite sweep coefficients
python -m dlmone_lite sweep divergences
python -m dlmone_lite sweep diversity
python -m dlmone_lite sweep embeddings
python -m dlmone_lite sweep healthy
python -m dlmone_lite sweep masked
python -m dlmone_lite sweep noise
python -m dlmone_lite sweep samplers
python -m dlmone_lite sweep several-calls
python -m dlmone_lite sweep spaces
python -m dlmone_lite sweep stages
python -m dlmone_lite sweep teacher-free
python -m dlmone_lite sweep teachers
python -m dlmone_lite sweep transfer
python -m dlmone_lite sweep treatments

# Real text: the networks
python -m dlmone_lite train --corpus real/qqp --preset lite --pieces 4096 --half --eval-sources 128 --eval-samples 2 --eval-steps 64 --save-every 500 --set-model width=128 depth=5 embed_dim=32 length=40 source_length=20 --set t_sampling=late late_from=1000 late_share=0.875 steps=4500 --eval-every 1500 --log runs/qqp-teacher.jsonl --out runs/qqp-teacher.safetensors --json runs/qqp-teacher-made.json
python -m dlmone_lite train --corpus real/quasar_t --preset lite --pieces 4096 --half --eval-sources 128 --eval-samples 2 --eval-steps 64 --save-every 500 --set-model width=128 depth=5 embed_dim=32 length=68 source_length=48 --set t_sampling=late late_from=1000 late_share=0.875 steps=1600 --eval-every 800 --log runs/quasar_t-teacher.jsonl --out runs/quasar_t-teacher.safetensors --json runs/quasar_t-teacher-made.json
python -m dlmone_lite train --corpus real/wiki_auto --preset lite --pieces 4096 --half --eval-sources 128 --eval-samples 2 --eval-steps 64 --save-every 500 --set-model width=128 depth=5 embed_dim=32 length=64 source_length=32 --set t_sampling=late late_from=1000 late_share=0.875 steps=2000 --eval-every 1000 --log runs/wiki_auto-teacher.jsonl --out runs/wiki_auto-teacher.safetensors --json runs/wiki_auto-teacher-made.json
python -m dlmone_lite sharpen --teacher runs/qqp-teacher.safetensors --corpus real/qqp --half --eval-sources 512 --eval-samples 3 --log runs/qqp-sharp.jsonl --out runs/qqp-sharp.safetensors --set sources=5000
python -m dlmone_lite sharpen --teacher runs/wiki_auto-teacher.safetensors --corpus real/wiki_auto --half --eval-sources 256 --eval-samples 3 --log runs/wiki_auto-sharp.jsonl --out runs/wiki_auto-sharp.safetensors --set samples=4
python -m dlmone_lite distill --teacher qqp-teacher --corpus real/qqp --half --eval-every 100 --eval-sources 256 --eval-samples 3 --keep last --out runs/qqp-student-seed1.safetensors --log runs/qqp-student-seed1.jsonl --recipe text --seed 1 --eval-every 400 --set precision=bfloat16
python -m dlmone_lite distill --teacher runs/qqp-sharp.safetensors --like runs/qqp-teacher.safetensors --corpus real/qqp --half --seed 1 --eval-every 25 --eval-sources 512 --eval-samples 3 --stages 2 --steps 300 --steps2 400 --set lr=6e-4 lr_psi=1.2e-3 psi_warmup=40 t_min=600 clamp=0.22 mu=1.0 b_d=0.02 b_g=0.02 --set2 clamp=0.22 lr=3e-4 lr_psi=6e-4 b_d=0.036 b_g=0.004 --log runs/qqp-student-sharp-seed1.jsonl --out-last runs/qqp-student-sharp-last-seed1.safetensors --out runs/qqp-student-sharp-seed1.safetensors
python -m dlmone_lite distill --teacher runs/qqp-sharp.safetensors --like runs/qqp-teacher.safetensors --corpus real/qqp --half --eval-every 25 --eval-sources 512 --eval-samples 3 --stages 2 --steps 300 --steps2 400 --set lr=6e-4 lr_psi=1.2e-3 psi_warmup=40 t_min=600 clamp=0.22 mu=1.0 b_d=0.02 b_g=0.02 --set2 clamp=0.22 lr=3e-4 lr_psi=6e-4 b_d=0.036 b_g=0.004 --log runs/qqp-student-sharp.jsonl --out-last runs/qqp-student-sharp-last.safetensors --out runs/qqp-student-sharp.safetensors
python -m dlmone_lite distill --teacher qqp-teacher --corpus real/qqp --half --eval-every 100 --eval-sources 256 --eval-samples 3 --keep last --out runs/qqp-student.safetensors --log runs/qqp-student.jsonl --steps 800 --set divergence=reverse_kl rho=1 clamp=0 t_spacing=log b_d=0 b_g=0 lr=1e-3 lr_psi=2e-3 precision=bfloat16
python -m dlmone_lite distill --teacher quasar_t-teacher --corpus real/quasar_t --half --eval-every 100 --eval-sources 256 --eval-samples 3 --keep last --out runs/quasar_t-student.safetensors --log runs/quasar_t-student.jsonl --recipe text --steps 500 --eval-every 250 --seed 0 --set clamp=0.25 precision=bfloat16
python -m dlmone_lite distill --teacher wiki_auto-teacher --corpus real/wiki_auto --half --eval-every 100 --eval-sources 256 --eval-samples 3 --keep last --out runs/wiki_auto-student.safetensors --log runs/wiki_auto-student.jsonl --steps 250 --eval-every 125 --seed 0 --set divergence=reverse_kl rho=0 t_spacing=log b_d=0 b_g=0 precision=bfloat16 lr=3e-4 lr_psi=2e-3 psi_warmup=100 late_share=0.3 group=4
python -m dlmone_lite distill --teacher quasar_t-teacher --corpus real/quasar_t --half --eval-every 100 --eval-sources 256 --eval-samples 3 --keep last --out runs/quasar_t-student-seed1.safetensors --log runs/quasar_t-student-seed1.jsonl --recipe text --steps 500 --eval-every 250 --seed 1 --set clamp=0.25 precision=bfloat16
python -m dlmone_lite distill --teacher runs/quasar_t-teacher.safetensors --corpus real/quasar_t --half --seed 1 --eval-every 25 --eval-sources 256 --eval-samples 3 --stages 2 --steps 250 --steps2 125 --set lr=4e-4 lr_psi=6e-4 psi_warmup=40 t_min=600 clamp=0.8 mu=0.9 b_d=0.05 b_g=0.05 --set2 b_d=0.09 b_g=0.01 --log runs/quasar_t-student-sharp-seed1.jsonl --out-last runs/quasar_t-student-sharp-last-seed1.safetensors --out runs/quasar_t-student-sharp-seed1.safetensors
python -m dlmone_lite distill --teacher runs/quasar_t-teacher.safetensors --corpus real/quasar_t --half --eval-every 25 --eval-sources 256 --eval-samples 3 --stages 2 --steps 250 --steps2 125 --set lr=4e-4 lr_psi=6e-4 psi_warmup=40 t_min=600 clamp=0.8 mu=0.9 b_d=0.05 b_g=0.05 --set2 b_d=0.09 b_g=0.01 --log runs/quasar_t-student-sharp.jsonl --out-last runs/quasar_t-student-sharp-last.safetensors --out runs/quasar_t-student-sharp.safetensors
python -m dlmone_lite distill --teacher wiki_auto-teacher --corpus real/wiki_auto --half --eval-every 100 --eval-sources 256 --eval-samples 3 --keep last --out runs/wiki_auto-student-seed1.safetensors --log runs/wiki_auto-student-seed1.jsonl --steps 250 --eval-every 125 --seed 1 --set divergence=reverse_kl rho=0 t_spacing=log b_d=0 b_g=0 precision=bfloat16 lr=3e-4 lr_psi=2e-3 psi_warmup=100 late_share=0.3 group=4
python -m dlmone_lite distill --teacher runs/wiki_auto-sharp.safetensors --like runs/wiki_auto-teacher.safetensors --corpus real/wiki_auto --half --seed 1 --eval-every 25 --eval-sources 256 --eval-samples 3 --stages 2 --steps 350 --steps2 350 --set lr=2e-4 lr_psi=1.2e-3 psi_warmup=40 t_min=600 clamp=0.1 mu=1.0 b_d=0.005 b_g=0.0005 --set2 lr=1e-4 b_d=0.009 b_g=0.0001 --log runs/wiki_auto-student-sharp-seed1.jsonl --out-last runs/wiki_auto-student-sharp-last-seed1.safetensors --out runs/wiki_auto-student-sharp-seed1.safetensors
python -m dlmone_lite distill --teacher runs/wiki_auto-sharp.safetensors --like runs/wiki_auto-teacher.safetensors --corpus real/wiki_auto --half --eval-every 25 --eval-sources 256 --eval-samples 3 --stages 2 --steps 350 --steps2 350 --set lr=2e-4 lr_psi=1.2e-3 psi_warmup=40 t_min=600 clamp=0.1 mu=1.0 b_d=0.005 b_g=0.0005 --set2 lr=1e-4 b_d=0.009 b_g=0.0001 --log runs/wiki_auto-student-sharp.jsonl --out-last runs/wiki_auto-student-sharp-last.safetensors --out runs/wiki_auto-student-sharp.safetensors

# Real text: evaluations
python -m dlmone_lite evaluate --checkpoint runs/qqp-teacher.safetensors --corpus real/qqp --precision auto --clamp --sources 256 --samples 4 --batch-size 64 --steps 2000 --json runs/real/qqp-teacher-2000.json
python -m dlmone_lite evaluate --checkpoint qqp-teacher --corpus real/qqp --precision auto --clamp --sources 256 --samples 4 --steps 1,2,4,8,16,32 --json runs/real/qqp-teacher-few.json
python -m dlmone_lite evaluate --checkpoint runs/qqp-teacher.safetensors --corpus real/qqp --precision auto --clamp --sources 256 --samples 2 --batch-size 64 --steps 10,100,500 --json runs/real/qqp-teacher.json
python -m dlmone_lite evaluate --checkpoint runs/qqp-student-seed1.safetensors --corpus real/qqp --precision auto --sources 256 --samples 20 --steps 1 --json runs/real/qqp-student-seed1.json
python -m dlmone_lite evaluate --checkpoint runs/qqp-student-sharp-seed1.safetensors --corpus real/qqp --precision auto --sources 256 --samples 20 --steps 1 --json runs/real/qqp-student-sharp-seed1.json
python -m dlmone_lite evaluate --checkpoint runs/qqp-student-sharp.safetensors --corpus real/qqp --precision auto --sources 256 --samples 20 --steps 1,2,4,8 --json runs/real/qqp-student-sharp.json
python -m dlmone_lite evaluate --checkpoint runs/qqp-student.safetensors --corpus real/qqp --precision auto --sources 256 --samples 20 --steps 1,2,4,8 --json runs/real/qqp-student.json
python -m dlmone_lite evaluate --zero-shot --checkpoint runs/quasar_t-student.safetensors --corpus real/qqp --precision auto --sources 256 --samples 3 --steps 1 --json runs/real/zero-quasar_t-on-qqp.json
python -m dlmone_lite evaluate --zero-shot --checkpoint runs/wiki_auto-student.safetensors --corpus real/qqp --precision auto --sources 256 --samples 3 --steps 1 --json runs/real/zero-wiki_auto-on-qqp.json
python -m dlmone_lite evaluate --checkpoint runs/quasar_t-teacher.safetensors --corpus real/quasar_t --precision auto --clamp --sources 256 --samples 5 --batch-size 64 --steps 2000 --json runs/real/quasar_t-teacher-2000.json
python -m dlmone_lite evaluate --checkpoint quasar_t-teacher --corpus real/quasar_t --precision auto --clamp --sources 256 --samples 4 --steps 1,2,4,8,16,32 --json runs/real/quasar_t-teacher-few.json
python -m dlmone_lite evaluate --checkpoint runs/quasar_t-teacher.safetensors --corpus real/quasar_t --precision auto --clamp --sources 256 --samples 2 --batch-size 64 --steps 10,100,500 --json runs/real/quasar_t-teacher.json
python -m dlmone_lite evaluate --checkpoint runs/quasar_t-student-seed1.safetensors --corpus real/quasar_t --precision auto --sources 256 --samples 20 --steps 1 --json runs/real/quasar_t-student-seed1.json
python -m dlmone_lite evaluate --checkpoint runs/quasar_t-student-sharp-seed1.safetensors --corpus real/quasar_t --precision auto --sources 256 --samples 20 --steps 1 --json runs/real/quasar_t-student-sharp-seed1.json
python -m dlmone_lite evaluate --checkpoint runs/quasar_t-student-sharp.safetensors --corpus real/quasar_t --precision auto --sources 256 --samples 20 --steps 1,2,4,8 --json runs/real/quasar_t-student-sharp.json
python -m dlmone_lite evaluate --checkpoint runs/quasar_t-student.safetensors --corpus real/quasar_t --precision auto --sources 256 --samples 20 --steps 1,2,4,8 --json runs/real/quasar_t-student.json
python -m dlmone_lite evaluate --zero-shot --checkpoint runs/qqp-student.safetensors --corpus real/quasar_t --precision auto --sources 256 --samples 3 --steps 1 --json runs/real/zero-qqp-on-quasar_t.json
python -m dlmone_lite evaluate --zero-shot --checkpoint runs/wiki_auto-student.safetensors --corpus real/quasar_t --precision auto --sources 256 --samples 3 --steps 1 --json runs/real/zero-wiki_auto-on-quasar_t.json
python -m dlmone_lite evaluate --checkpoint runs/wiki_auto-teacher.safetensors --corpus real/wiki_auto --precision auto --clamp --sources 256 --samples 10 --batch-size 64 --steps 2000 --json runs/real/wiki_auto-teacher-2000.json
python -m dlmone_lite evaluate --checkpoint wiki_auto-teacher --corpus real/wiki_auto --precision auto --clamp --sources 256 --samples 4 --steps 1,2,4,8,16,32 --json runs/real/wiki_auto-teacher-few.json
python -m dlmone_lite evaluate --checkpoint runs/wiki_auto-teacher.safetensors --corpus real/wiki_auto --precision auto --clamp --sources 256 --samples 2 --batch-size 64 --steps 10,100,500 --json runs/real/wiki_auto-teacher.json
python -m dlmone_lite evaluate --checkpoint runs/wiki_auto-student-seed1.safetensors --corpus real/wiki_auto --precision auto --sources 256 --samples 20 --steps 1 --json runs/real/wiki_auto-student-seed1.json
python -m dlmone_lite evaluate --checkpoint runs/wiki_auto-student-sharp-seed1.safetensors --corpus real/wiki_auto --precision auto --sources 256 --samples 20 --steps 1 --json runs/real/wiki_auto-student-sharp-seed1.json
python -m dlmone_lite evaluate --checkpoint runs/wiki_auto-student-sharp.safetensors --corpus real/wiki_auto --precision auto --sources 256 --samples 20 --steps 1,2,4,8 --json runs/real/wiki_auto-student-sharp.json
python -m dlmone_lite evaluate --checkpoint runs/wiki_auto-student.safetensors --corpus real/wiki_auto --precision auto --sources 256 --samples 20 --steps 1,2,4,8 --json runs/real/wiki_auto-student.json
python -m dlmone_lite evaluate --zero-shot --checkpoint runs/qqp-student.safetensors --corpus real/wiki_auto --precision auto --sources 256 --samples 3 --steps 1 --json runs/real/zero-qqp-on-wiki_auto.json
python -m dlmone_lite evaluate --zero-shot --checkpoint runs/quasar_t-student.safetensors --corpus real/wiki_auto --precision auto --sources 256 --samples 3 --steps 1 --json runs/real/zero-quasar_t-on-wiki_auto.json
