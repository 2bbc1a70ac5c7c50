"""Measuring pictures and videos: PSNR, SSIM, VMAF, temporal consistency, the page of an evaluation."""
